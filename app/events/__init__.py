"""How a committed event reaches every socket: the bell, the log, and the hub between them."""
