"""Further wishes of a client: each is understood, exists already, or is refused openly."""

import pytest

from workers.rehearsal.reading import read_plan
from workers.rehearsal.wishes import read_first_wishes, read_wishes

PLAN = read_plan("a reading list for a book club")

CONTINUATIONS = [
    ("also export everything as CSV please", ["export"]),
    ("Can you let me download the list for Excel?", ["export"]),
    ("add a rating from 1 to 5", ["field Rating"]),
    ("rating 1-5", ["field Rating"]),
    ("Each book should also have a genre", ["field Genre"]),
    ("add the publisher, the year and the mood", ["field Publisher", "field Year", "field Mood"]),
    ("We need to know whether it is signed", ["field Signed"]),
    ("We need a field for the publisher", ["field Publisher"]),
    ("Add a yes/no field for signed", ["field Signed"]),
    ("Can you add who suggested the book?", ["field Suggested by"]),
    ("filter by status", ["filter Status"]),
    ("only show finished books", ["filter Status"]),
    ("I'd like to filter by author and status", ["filter Author", "filter Status"]),
    ("add a genre (crime, fantasy, other) and filter by genre", ["field Genre", "filter Genre"]),
    ("Export as CSV would be nice, and a filter by status", ["export", "filter Status"]),
    ("Add a rating from 1 to 5, export as CSV and PDF, and filter by status. Thanks!",
     ["field Rating", "export", "cannot export as PDF", "filter Status"]),
    ("Let members log in with Google and pay a fee",
     ["cannot Let members log in with Google", "cannot pay a fee"]),
    ("I'd like e-mail reminders and a chart of pages per month",
     ["cannot e-mail reminders", "cannot a chart of pages per month"]),
    ("Add photos of the covers", ["cannot photos of the covers"]),
    ("import from goodreads", ["cannot import from goodreads"]),
    ("make it faster", ["cannot make it faster"]),
    ("let me sort by rating", ["cannot let me sort by rating"]),
    ("filter by genre", ["cannot filter by genre"]),
    ("Add search", ["there Add search"]),
    ("please add dark mode", ["there add dark mode"]),
    ("add an author", ["there an author"]),
    ("thanks", ["cannot thanks"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CONTINUATIONS)
def test_a_continuation_is_read_wish_by_wish(text: str, expected: list[str]) -> None:
    def told(kind: str, words: str, label: str | None) -> str:
        return kind if kind == "export" else f"{kind} {label or words}"

    wishes = read_wishes(text, PLAN)
    assert [
        told(wish.kind, wish.words, wish.field.label if wish.field else None) for wish in wishes
    ] == expected
    assert all(bool(wish.reason) is (wish.kind in ("cannot", "there")) for wish in wishes)


FIRST = [
    (
        "a list of wines with name, price, a photo, e-mail reminders, export as CSV and a chart",
        ["cannot", "cannot", "export", "cannot"],
    ),
    ("a reading list for a book club with reviews and e-mail reminders", ["cannot"]),
    ("It should recommend books we might like", ["cannot"]),
    ("I want to pay by credit card; no login please", ["cannot"]),
    ("Export as CSV would be nice, and a filter by status", ["export", "filter"]),
    ("We keep losing track of what we agreed to read", []),
    ("Mostly us, twelve members, and sometimes guests", []),
    ("Keep it simple, you decide", []),
    ("Today it is on paper and in our heads: things get lost and asked for twice.", []),
    ("A small group of people who know each other, most of them on their phones.", []),
    ("When nobody needs the old notes any more, and everything is found within seconds.", []),
    ("Please add a rating from 1 to 5. The rest is fine as it is.", []),
    ("Twelve of us. And it should also show who has borrowed it", ["cannot"]),
    ("Also let me search", []),
    ("We also want it simple, and we add books now and then", []),
]


@pytest.mark.parametrize(("text", "kinds"), FIRST)
def test_in_the_first_talk_only_clear_wishes_are_taken_for_wishes(text: str, kinds: list[str]) -> None:
    assert [wish.kind for wish in read_first_wishes(text, PLAN)] == kinds
