"""Errors that keep the embedded servers from starting. Each message is complete and for people."""


class StackProblem(Exception):
    """The stack cannot start here; the message says why and what to do."""


class NotInstalled(StackProblem):
    """No PostgreSQL or Valkey was found in any of the places looked in."""


class WrongMajor(StackProblem):
    """The data was made by another major version of PostgreSQL; nothing was touched."""


class NoRoom(StackProblem):
    """A server died and cannot start again, because its disk is full."""


class AlreadyRunning(StackProblem):
    """Somebody else works in this DATA_DIR."""


class NothingRuns(StackProblem):
    """No addresses of databases are set, and no service runs in this DATA_DIR."""


def in_words(error: OSError) -> str:
    """The system's message alone, without what Python adds to some."""
    return (error.strerror or str(error)).partition(" (")[0]
