"""The box of a job: how it is made, how a process attaches to it, and what the guest in it can do."""
