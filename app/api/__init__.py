"""HTTP and WebSocket routes: each turns a request into one read or one action, and errors into answers."""
