"""`boardroom model check`: asks a model a few small questions and says what works, what does not, and which
setting cures it. It writes nothing."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import get_args

import orjson
from rich.console import Console
from rich.table import Table

from app.settings import BadSettings, Settings, load_settings
from workers.choose import UnknownModel
from workers.llm.endpoint import SchemaMode
from workers.llm.model import Answer, Message, Model, ModelUnavailable, Question, Then, Tokens, ToolSpec
from workers.main import choose_models

MOST_USD = 0.01
"""No further question is asked after so much was spent, if the price is known."""

TRIES = 3
"""How often a question is sent again when the refusal says how to ask otherwise."""

ANSWER_TOKENS = 300
LOOK = ToolSpec(
    "look",
    "Read one file.",
    {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
)
SCHEMA = {
    "type": "object",
    "properties": {"sum": {"type": "integer"}},
    "required": ["sum"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Line:
    """One line of the table. `cure` says what to set; empty if there is nothing to cure."""

    what: str
    works: bool
    detail: str
    cure: str = ""


class TooDear(Exception):
    """The next question might cost more than a check may."""


class Asker:
    """Asks one model, and adds up what it costs."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.tokens = Tokens()

    @property
    def usd(self) -> float | None:
        return self.model.price(self.tokens)

    async def ask(self, text: str, hear: Callable[[str], None] | None = None, **more: object) -> Answer:
        """Raises ModelUnavailable and TooDear."""
        question = Question(
            "Builder",
            "building",
            "You are being tested. Do exactly what you are asked, and nothing else.",
            (Message("user", text),),
            max_tokens=ANSWER_TOKENS,
            **more,  # type: ignore[arg-type]
        )
        for attempt in range(TRIES):
            if (self.usd or 0) > MOST_USD:
                raise TooDear
            try:
                answer = await self.model.ask(question, hear)
            except ModelUnavailable as failed:
                self._add(failed.spent)
                if failed.then is not Then.AT_ONCE or attempt == TRIES - 1:
                    raise
            else:
                self._add(answer.tokens)
                return answer
        raise AssertionError("the last try has answered or raised")

    def _add(self, spent: Tokens | None) -> None:
        if spent is not None:
            self.tokens = Tokens(self.tokens.input + spent.input, self.tokens.output + spent.output)


async def check(settings: Settings) -> list[Line]:
    """Raises UnknownModel."""
    asker = Asker(choose_models(settings).first)
    lines = [await _reachable(asker)]
    if not lines[0].works:
        return lines
    lines.append(await _guarded("streams", lambda: _streams(asker, wanted=settings.model_stream)))
    lines.append(await _typed(asker, settings))
    lines.append(await _guarded("tools", lambda: _tools(asker)))
    lines.append(_thoughts(asker.model))
    lines.append(_price(asker))
    return lines


async def _reachable(asker: Asker) -> Line:
    try:
        answer = await asker.ask("Say the word: ready")
    except ModelUnavailable as failed:
        return Line("reachable", False, str(failed), "see docs/models.md for what this vendor needs")
    told = "" if answer.tokens is not None else "; it does not say how many tokens it used"
    return Line("reachable", True, f"it answers{told}")


async def _guarded(what: str, find: Callable[[], Awaitable[Line]]) -> Line:
    try:
        return await find()
    except ModelUnavailable as failed:
        return Line(what, False, str(failed))
    except TooDear:
        return Line(what, False, "not asked: the check has cost a cent")


async def _streams(asker: Asker, *, wanted: bool) -> Line:
    if not wanted:
        return Line("streams", True, "not asked for (MODEL_STREAM=false)")
    heard: list[str] = []
    try:
        await asker.ask("Count from 1 to 20 in figures, separated by spaces.", heard.append)
    except ModelUnavailable as failed:
        return Line("streams", False, str(failed), "MODEL_STREAM=false")
    pieces = len(set(heard))
    return Line(
        "streams",
        pieces > 1,
        f"an answer came in {pieces} pieces",
        "" if pieces > 1 else "MODEL_STREAM=false",
    )


async def _typed(asker: Asker, settings: Settings) -> Line:
    """Which ways of asking for a typed answer work."""
    worked: list[str] = []
    said = ""
    for mode in get_args(SchemaMode):
        one = Asker(choose_models(settings.model_copy(update={"model_schema": mode})).first)
        one.tokens = asker.tokens
        try:
            answer = await one.ask("What is 17 + 25? Answer with the sum.", schema=SCHEMA)
            if orjson.loads(answer.text).get("sum") == 42:
                worked.append(mode)
        except (ModelUnavailable, orjson.JSONDecodeError, AttributeError) as failed:
            said = said or str(failed)
        except TooDear:
            break
        asker.tokens = one.tokens
    detail = f"MODEL_SCHEMA={', '.join(worked)}" if worked else f"none of the three ways works: {said}"
    cure = "" if settings.model_schema in worked or not worked else f"MODEL_SCHEMA={worked[0]}"
    return Line("typed answers", bool(worked) and not cure, detail, cure)


async def _tools(asker: Asker) -> Line:
    answer = await asker.ask(
        "Call the tool look for a.txt and for b.txt, both now, in one turn.", tools=(LOOK,)
    )
    if not answer.calls:
        cure = "start the server with its tool parser, or take a model that takes tools"
        return Line("tools", False, "it made no tool call", cure)
    several = "several in one turn" if len(answer.calls) > 1 else "one in a turn, which makes builds slower"
    return Line("tools", True, several)


def _thoughts(model: Model) -> Line:
    room = int(getattr(model, "room", 0))
    learned = getattr(model, "learned", None)
    context = getattr(learned, "context", None)
    said = f"room for {room} tokens of thoughts beside an answer" if room else "none that cut an answer off"
    window = f"; a context of {context} tokens" if context else "; its context window was not met"
    return Line("thoughts", True, said + window)


def _price(asker: Asker) -> Line:
    if asker.usd is None:
        cure = "MODEL_INPUT_PRICE_USD and MODEL_OUTPUT_PRICE_USD, or a budget in tokens"
        return Line("price", False, "not known", cure)
    return Line("price", True, f"known; this check cost {asker.usd:.4f} USD")


def show(console: Console, name: str, lines: Sequence[Line]) -> None:
    table = Table(title=name, title_justify="left")
    for heading in ("", "works", "", "set"):
        table.add_column(heading, overflow="fold")
    for line in lines:
        table.add_row(line.what, "yes" if line.works else "NO", line.detail, line.cure)
    console.print(table)


def main() -> int:
    """`python -m workers.model_check`. Exit code 1 if something does not work, 2 if nothing was asked."""
    parser = argparse.ArgumentParser(prog="boardroom model check")
    parser.add_argument("name", nargs="?", default="", help="a model as in MODEL; default: MODEL")
    parser.add_argument("--yes", action="store_true", help="do not ask first")
    arguments = parser.parse_args()
    try:
        settings = load_settings()
        if arguments.name:
            settings = settings.model_copy(update={"model": arguments.name})
        choose_models(settings)
        question = f"Ask {settings.model} about seven small questions, for less than a cent? [y/N] "
        if not arguments.yes and (
            not sys.stdin.isatty() or input(question).strip().lower() not in ("y", "yes")
        ):
            sys.stderr.write("Nothing was asked. (--yes asks without a question.)\n")
            return 2
        lines = asyncio.run(check(settings))
    except (BadSettings, UnknownModel) as problem:
        sys.stderr.write(f"{problem}\n")
        return 2
    show(Console(), settings.model, lines)
    return 0 if all(line.works for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
