"""What answers requests, and all that it shares with the workers."""
