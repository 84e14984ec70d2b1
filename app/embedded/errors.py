"""What may keep the embedded stack from starting. Each message is a whole answer to a person."""


class StackProblem(Exception):
    """The stack cannot start here; the message says why and what to do."""


class NotInstalled(StackProblem):
    """No PostgreSQL or Valkey was found in any of the places looked in."""


class WrongMajor(StackProblem):
    """The data was made by another major version of PostgreSQL; nothing was touched."""


class AlreadyRunning(StackProblem):
    """Somebody else works in this DATA_DIR."""


def in_words(error: OSError) -> str:
    """The system's words alone: Python adds to some of them what was attempted."""
    return (error.strerror or str(error)).partition(" (")[0]
