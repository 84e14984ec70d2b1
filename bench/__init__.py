"""What things cost, each against the bare alternative in the same run; see docs/benchmarks.md."""
