"""Which model speaks: chosen by `MODEL`, never by a key that happens to lie in the environment."""

from workers.llm.model import Model
from workers.rehearsal.cast import RehearsalModel


class UnknownModel(Exception):  # noqa: N818
    """`MODEL` names nothing that is there; the message says what is."""


def choose(name: str, rehearsal_pace: float) -> Model:
    """Raises UnknownModel."""
    if name == "rehearsal":
        return RehearsalModel(rehearsal_pace)
    raise UnknownModel(f"MODEL={name} is not known. There is: rehearsal (a scripted cast, no key needed).")
