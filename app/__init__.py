"""What answers requests, and what it shares with the workers."""
