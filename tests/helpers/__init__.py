"""What tests of more than one folder use, and the benchmarks. Tests import nothing else of another folder."""
