"""What the service itself has seen: checks that run on commits, and their results as evidence."""
