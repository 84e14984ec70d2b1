"""Streams of vendors' wires that end in order before their answers do, as proxies and overloaded servers end
them: half an answer never passes for a whole one, what was said is billed, and the answer begins anew."""

import pytest

from tests.helpers.lineup import HASTE
from tests.helpers.vendors import ASKED, OTHER_WIRES, model_of
from tests.helpers.wire_forms import Json
from tests.helpers.wires import CALL, WIRES, open_wire
from tests.llm.single import Free
from workers.llm.calling import call, worst_case
from workers.llm.model import Answer

TEXT = Answer("Let me see it.", "")
CALLS = Answer("", "", (CALL,))
SAYS_WHY = {"responses": 1, "anthropic": 2, "google": 1, "bedrock": 2}
"""How many pieces from the end the answer says why it ends."""

SILENT = {"responses": (3, 2), "anthropic": (2, 2), "google": (0, 0), "bedrock": (1, 2)}
"""How many pieces say nothing yet: of a text, and of a call."""

BILLED_FIRST = {"anthropic": 150, "google": 100}
"""Input tokens, by the wires that bill them before the end."""

CUTS = [
    (kind, wire, answer, cut)
    for kind, wire in OTHER_WIRES
    for answer in (TEXT, CALLS)
    for cut in range(len(WIRES[wire][1](answer, True)[1]) - SAYS_WHY[wire] + 1)
]


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


@pytest.mark.parametrize(("kind", "wire", "answer", "cut"), CUTS)
@pytest.mark.may_block
async def test_half_an_answer_is_none_and_begins_anew(kind: str, wire: str, answer: Answer, cut: int) -> None:
    heard: list[str] = []
    asked = 0

    async def say(_: Json) -> Answer:
        nonlocal asked
        asked += 1
        server.cut = cut if asked == 1 else None
        return answer

    async with open_wire(wire, say) as server:
        model, ledger = model_of(kind, wire, server.url, stream=True), Free()
        called = await call([model], ASKED, ledger, HASTE, heard.append)
    assert (asked, called.answer.text, len(called.answer.calls)) == (2, answer.text, len(answer.calls))
    broken = heard[: len(heard) - 3] if answer.text else heard
    assert heard[len(broken) :] == (["Let m", "Let me see", "Let me see it."] if answer.text else [])
    assert broken == heard[len(broken) :][: len(broken)], "the text begins from its beginning again"
    ((outcome, used),) = ledger.spent
    assert outcome == "bad_answer"
    worst = worst_case(ASKED)
    said = broken[-1] if broken else ""
    silent = cut <= SILENT[wire][bool(answer.calls)]
    assert (used is None) == silent, "of what was said there is a bill; before that the reservation stands"
    if used is not None:
        assert used.input_tokens == BILLED_FIRST.get(wire, worst.input)
        assert max(len(said) // 2, 3) <= used.output_tokens <= 8
        cached = {"anthropic": (30, 20), "google": (30, 0)}.get(wire, (0, 0))
        assert (used.cached_tokens, used.cache_write_tokens) == cached


@pytest.mark.parametrize(("kind", "wire"), OTHER_WIRES)
@pytest.mark.may_block
async def test_an_answer_that_said_why_it_ends_is_whole(kind: str, wire: str) -> None:
    """Bedrock's bill comes after that: without one the reservation stands."""

    async def say(_: Json) -> Answer:
        return TEXT

    async with open_wire(wire, say) as server:
        server.cut = len(WIRES[wire][1](TEXT, True)[1]) - SAYS_WHY[wire] + 1
        told = await model_of(kind, wire, server.url, stream=True).ask(ASKED)
    assert (told.text, told.finish_reason) == ("Let me see it.", "stop")
    assert (told.tokens is None) == (wire == "bedrock")
