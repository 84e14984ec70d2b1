"""Whatever a client writes, each answer of the cast is valid, and the next agent can use it."""

import asyncio

import pytest

from tests.rehearsal.company import MODEL, Company, replied
from workers.llm.model import Message, ModelMisbehaved, Question

LONG = 5000

NASTY = [
    "x",
    "?!…",
    "<script>alert('x')</script>\"; DROP TABLE books; --",
    "Eine Leseliste für unseren Buchclub, bitte mit Bewertung",
    "読書会のための本のリスト 📚",
    ("a list of things with " + ", ".join(f"field number {n} (a/b/c/d)" for n in range(400)))[:LONG],
    (
        "each thing has "
        + ", ".join(f"{'w' * 35}{n} ({'o' * 39}1, {'o' * 39}2, {'o' * 39}3)" for n in range(99))
    )[:LONG],
    ("add a pdf export and " * 300)[:LONG],
    "word " * 1000,
    "line\n" * 1000,
    "e" * LONG,
    "{" * 100 + "}" * 100 + "%s %(x)s {plan.one} \\1 \\d",
    "each \u202ebook\u202c has a t\u0301itle\u00a0and\u2028more",
]


@pytest.mark.parametrize("words", NASTY)
def test_nothing_a_client_writes_breaks_an_answer(
    words: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    company = Company(tmp_path_factory.mktemp("nasty"), words, answers=[words] * 4)
    company.talk_it_over()
    assert company.plan().tickets
    assert company.plan(words).tickets
    assert company.requirements is not None
    ids = [item.id for item in company.requirements.requirements]
    assert len(set(ids)) == len(ids)


def test_the_client_may_say_several_things_at_once() -> None:
    first = replied("a reading list")
    messages = (
        Message("user", "a reading list"),
        Message("user", "for our book club"),
        Message("assistant", first.reply),
        Message("user", "we forget everything"),
    )
    answer = asyncio.run(MODEL.ask(Question("Client Relations", "intake", "", messages)))
    assert "we forget everything" in answer.text


@pytest.mark.parametrize("purpose", ["analysis", "building", "cooking"])
def test_a_question_it_cannot_read_is_refused(purpose: str) -> None:
    with pytest.raises(ModelMisbehaved):
        asyncio.run(MODEL.ask(Question("Builder", purpose, "", (Message("user", "{}"),))))
