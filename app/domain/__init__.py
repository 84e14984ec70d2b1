"""Rules and shapes without I/O or a clock; standard library and pydantic only."""
