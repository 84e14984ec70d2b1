"""Thoughts that a server leaves in the text of an answer."""

MARKS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
    ("<|channel|>thought", "<channel|>"),
)
"""How models mark where thoughts begin and end. The first mark often stands in the prompt's template, so only
the second is in the answer."""


def spoken(text: str) -> str:
    """The text without thoughts at its beginning; empty if they have not ended."""
    while True:
        began = text.lstrip()
        for opening, closing in MARKS:
            if began.startswith(opening) or (closing in text and not began.startswith(("{", "```"))):
                text = text.partition(closing)[2].lstrip()
                break
        else:
            return text
