"""The WebSocket of a job: who may open it, which events reach its client, and what the client says to it."""
