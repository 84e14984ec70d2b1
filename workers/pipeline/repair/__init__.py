"""What is found broken at the end becomes tickets, and the run builds once more."""
