"""What works: the processes that claim runs and think; the only place that knows a language model."""
