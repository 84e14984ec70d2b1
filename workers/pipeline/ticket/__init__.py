"""One ticket: what it starts from, its attempts, and what the next attempt is given when one fails."""
