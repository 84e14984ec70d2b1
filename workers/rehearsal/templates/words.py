"""Words compared as people do: without regard to capitals, in any alphabet."""


def folded(value):
    """Known to SQL under this name too; the empty string for what was not given."""
    return "" if value is None else str(value).casefold()
