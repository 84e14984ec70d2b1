"""The worker process: it claims runs and plays them. Only this package knows language models."""
