"""Pure rules and shapes: no I/O, no clock of its own, standard library and pydantic only."""
