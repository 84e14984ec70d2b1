"""Client Relations of the rehearsal cast: it asks one question at a time, nothing twice, and ends when the
client wants that."""

import pytest

from tests.rehearsal.company import replied
from workers.agents.facts import SUM_UP

IDEA = "a reading list for a book club"


def play(idea: str, answer: str) -> list[str]:
    """All questions that it asks, if each gets the same answer."""
    turns = [idea]
    questions = []
    while not (reply := replied(*turns)).done:
        assert reply.reply.count("?") <= 2
        questions.append(reply.reply)
        turns += [reply.reply, answer]
        assert len(questions) < 10
    assert reply.summary.startswith(idea)
    return questions


def test_it_asks_for_what_is_missing_and_no_more_than_four_times() -> None:
    questions = play("I want to track my orchids", "Hm.")
    assert len(questions) == 4
    assert len(set(questions)) == 4
    assert "orchids" in questions[0]


def test_answered_questions_are_not_asked_again() -> None:
    told = (
        "A reading list for our book club of twelve members: each book has a title, an author and pages. "
        "We keep forgetting what we agreed on; it is a success when everybody knows the next book."
    )
    reply = replied(told)
    assert reply.done
    assert "title, author and pages" in reply.reply


def test_it_repeats_what_the_client_said() -> None:
    reply = replied(IDEA, (replied(IDEA)).reply, "Everything is on sticky notes that get lost.")
    assert "Everything is on sticky notes that get lost" in reply.reply
    assert not reply.done


@pytest.mark.parametrize(
    "go", ["go", "Go ahead.", "that's all", "OK, just build it!", "start now please", SUM_UP]
)
def test_the_client_can_end_it_at_any_time(go: str) -> None:
    first = (replied(IDEA)).reply
    reply = replied(IDEA, first, go)
    assert reply.done
    assert IDEA in reply.summary
    assert go not in reply.summary


@pytest.mark.parametrize("words", ["go on a trip", "we start every meeting with it", "go fishing"])
def test_a_word_within_an_answer_does_not_end_it(words: str) -> None:
    assert not (replied(IDEA, (replied(IDEA)).reply, words)).done


@pytest.mark.parametrize(
    ("idea", "title"),
    [
        ("Eine Leseliste für unseren Buchclub", "Eine Leseliste für unseren Buchclub"),
        ("読書会のための読書リスト", "読書会のための読書リスト"),
        ("قائمة قراءة لنادي الكتاب", "قائمة قراءة لنادي الكتاب"),
    ],
)
def test_an_idea_in_another_language_gives_its_title_and_is_told_the_limit(idea: str, title: str) -> None:
    first = replied(idea).reply
    assert "plain English only" in first
    assert f"“{title}”" in replied(idea, first, "go").reply


def test_an_idea_that_names_no_things_is_asked_for_them() -> None:
    reply = replied("hello")
    assert not reply.done
    assert "keep a list of" in reply.reply
    reply = replied("hello", reply.reply, "my stamps, I never find them")
    assert "stamps" in reply.reply.lower()


def test_the_answer_about_the_fields_shows_at_once() -> None:
    turns = ["recipes for my family, on paper they get lost"]
    reply = replied(*turns)
    assert "minutes" in reply.reply
    reply = replied(*turns, reply.reply, "Please add a rating from 1 to 5.")
    assert "rating" in reply.reply


def test_further_wishes_in_any_answer_are_taken_up() -> None:
    idea = "A list of the tools we lend: name, owner, and whether it is lent out"
    first = replied(idea).reply
    assert "put an end to" in first
    talk = [idea, first, "We lose track of the ladder. Also add a due date, and a picture."]
    reply = replied(*talk, replied(*talk).reply, SUM_UP).reply
    assert "name, owner, lent out and due date" in reply
    assert "beyond us: a picture" in reply


def test_it_says_what_it_cannot_do_before_the_work_begins() -> None:
    reply = replied("a reading list for a book club with e-mail reminders", "Who will use it?", SUM_UP)
    assert reply.done
    assert "e-mail reminders" in reply.reply
