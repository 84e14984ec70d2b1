"""Doors: each turns a request into one read or one action, and an outcome into an answer of the contract."""
