"""The changes that a client or an operator can make: one function each, named after the change."""
