"""How a committed event reaches every socket: hints over Redis, the log, and the hub that joins them."""
