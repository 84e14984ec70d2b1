"""Answers of the demo's client to Client Relations, which fit any idea."""

import re

_ANSWERS = (
    (
        r"worth|succe|happy|goal|measure|how (?:will|would|do) (?:you|we) (?:know|tell|see)",
        "When nobody needs the old notes any more, and everything is found within seconds.",
    ),
    (
        r"add or|leave out|anything beyond|features?|fields?|should it|able to|details|note",
        "Please add a rating from 1 to 5. The rest is fine as it is.",
    ),
    (
        r"problem|trouble|today|at the moment|currently|annoy|instead|why",
        "Today it is on paper and in our heads: things get lost and asked for twice.",
    ),
    (
        r"\bwho\b|whom|audience|people|users?|share",
        "A small group of people who know each other, most of them on their phones.",
    ),
)
"""Patterns of questions with their answers, tried in this order."""

GO = "Go ahead."


class Interview:
    """Gives each answer once. To a repeated or unknown question it answers `GO`."""

    def __init__(self) -> None:
        self._left = list(_ANSWERS)

    def answer(self, question: str) -> str:
        for words, answer in self._left:
            if re.search(words, question, re.IGNORECASE):
                self._left.remove((words, answer))
                return answer
        return GO
