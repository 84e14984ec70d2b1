"""The stages of a run, each a function from stored facts to a stored outcome. Read `plan` first."""
