"""The box with a job's files: how it is made, how a process attaches, and what the guest in it can do."""
