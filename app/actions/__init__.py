"""One function per change of the world that a client or an operator makes, named as you would say it."""
