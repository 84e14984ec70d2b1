"""A run from stage to stage: each is a function from stored facts to a stored outcome. Read `plan` first."""
