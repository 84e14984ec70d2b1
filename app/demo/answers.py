"""What a sensible client answers to Client Relations, whatever the idea is."""

import re

_ANSWERS: tuple[tuple[str, str, str], ...] = (
    (
        "success",
        r"success|succeed|worked|worth it|happy|how (?:will|would|do) you (?:know|tell)|goal|measure",
        "When all of us have stopped using the old notes, and any entry is found within a few seconds.",
    ),
    (
        "problem",
        r"problem|trouble|today|at the moment|currently|annoy|pain|difficult|instead|why",
        "Today it is scattered over notes and chat messages, so things get lost and asked for twice.",
    ),
    (
        "audience",
        r"\bwho\b|whom|audience|people|users?|customers?|share",
        "A small group of people who know each other, most of them on their phones.",
    ),
    (
        "features",
        r"features?|fields?|keep|store|note down|record|should it|able to|must|details|what .* (?:do|have)",
        "Adding, editing and deleting entries, a list of them, and a search. The usual fields are fine, "
        "and please add a rating from 1 to 5.",
    ),
)
"""(topic, the question's words, the answer), tried in this order."""

ENOUGH = "That is all I know. Please go ahead with what you think is best."


class Interview:
    """Answers each topic once; asked again, or something unknown, it says to go ahead."""

    def __init__(self) -> None:
        self._answered: set[str] = set()

    def answer(self, question: str) -> str:
        for topic, words, answer in _ANSWERS:
            if topic not in self._answered and re.search(words, question, re.IGNORECASE):
                self._answered.add(topic)
                return answer
        return ENOUGH
