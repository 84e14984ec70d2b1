"""English, as far as simple rules go: sentences, lists, singular and plural."""

import re

_IRREGULAR = {
    "people": "person", "children": "child", "mice": "mouse", "knives": "knife", "leaves": "leaf",
    "shelves": "shelf", "wolves": "wolf", "women": "woman", "men": "man", "geese": "goose", "feet": "foot",
    "cacti": "cactus", "movies": "movie", "cookies": "cookie", "shoes": "shoe", "heroes": "hero",
    "potatoes": "potato", "tomatoes": "tomato", "series": "series", "species": "species", "sheep": "sheep",
    "fish": "fish", "music": "music", "data": "data", "news": "news", "equipment": "equipment",
    "furniture": "furniture", "jewellery": "jewellery", "software": "software", "clothing": "clothing",
    "luggage": "luggage",
}  # fmt: skip
_UNCOUNTED = frozenset(
    ("music", "data", "news", "equipment", "furniture", "jewellery", "software", "clothing", "luggage")
)
_PLURAL = {one: many for many, one in _IRREGULAR.items()}


def singular(noun: str) -> str:
    """Of `old maps`: `old map`."""
    *before, last = noun.split(" ")
    if last in _IRREGULAR:
        last = _IRREGULAR[last]
    elif last.endswith("ies") and len(last) > 4:
        last = last[:-3] + "y"
    elif re.search(r"(?:ss|sh|ch|x|z)es$", last):
        last = last[:-2]
    elif last.endswith("s") and not last.endswith(("ss", "us", "is")):
        last = last[:-1]
    return " ".join([*before, last])


def plural(noun: str) -> str:
    """Of `old map`: `old maps`."""
    *before, last = noun.split(" ")
    if last in _PLURAL:
        last = _PLURAL[last]
    elif re.search(r"[^aeiou]y$", last):
        last = last[:-1] + "ies"
    elif re.search(r"(?:s|sh|ch|x|z)$", last):
        last += "es"
    else:
        last += "s"
    return " ".join([*before, last])


def countable(noun: str) -> str:
    """Of `sheet music`, of which there is no plural: `piece of sheet music`."""
    return f"piece of {noun}" if noun.split(" ")[-1] in _UNCOUNTED else noun


def sentences(text: str) -> list[str]:
    """Split at the ends of sentences, semicolons, and lines (with their bullets)."""
    text = re.sub(r"\b(e\.g|i\.e|etc)\.", r"\1", text)
    parts = re.split(r"[.!?]+(?:\s+|$)|;|\n+\s*(?:[-*•]|\d+[.)])?\s*", text)
    return [part.strip(" \t-*•") for part in parts if part.strip(" \t-*•")]


def items(text: str) -> list[str]:
    """The parts of `a, b (c, d) and e`; what stands in brackets stays together."""
    parts: list[str] = []
    depth, start = 0, 0
    for match in re.finditer(r"[()\[\]]|\s*,\s*(?:and|or|plus)?\b\s*|\s+(?:and|&|plus|as well as)\s+", text):
        sign = match[0]
        if sign in "([":
            depth += 1
        elif sign in ")]":
            depth = max(0, depth - 1)
        elif depth == 0:
            parts.append(text[start : match.start()])
            start = match.end()
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]


def listed(words: list[str] | tuple[str, ...]) -> str:
    """`a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def clipped(text: str, words: int) -> str:
    """The first so many words, none longer than 40 characters."""
    every = [word[:40] for word in text.split()]
    return " ".join(every) if len(every) <= words else " ".join(every[:words]).rstrip(",;:.–-") + " …"


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]
