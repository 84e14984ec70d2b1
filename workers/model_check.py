"""`boardroom model check`: asks a model a few small questions and says what works, what does not, and which
setting cures it. It writes nothing."""

import argparse
import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

import orjson
import structlog
from rich.console import Console
from rich.table import Table

from app.domain.vendors import VENDORS
from app.settings import BadSettings, Settings, load_settings
from workers.choose import UnknownModel
from workers.llm.calling import worst_case
from workers.llm.endpoint import SchemaMode
from workers.llm.model import Answer, Message, Model, ModelUnavailable, Question, Then, Tokens, ToolSpec
from workers.llm.prices import listed_window
from workers.llm.provider import Provider
from workers.llm.window import told_window
from workers.main import choose_models, server_of

MOST_USD = 0.01
"""Nothing is asked that may cost more than what is left of it, if the price is known."""

TRIES = 12
"""How often a question is sent when each refusal says how to ask otherwise."""

ANSWER_TOKENS, LEAST_TOKENS = 200, 64
"""Of an answer, without thoughts: what is allowed, and what it needs at least."""

ENOUGH = 64_000
"""Tokens of a context in which a whole app can be built."""

LARGER = "a larger context: OLLAMA_CONTEXT_LENGTH=65536, --ctx-size 65536, --max-model-len 65536"

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
    """One line of the table. `works` is None for what need not work, or is not known; `cure` says what to
    set, and is empty if there is nothing to cure."""

    what: str
    works: bool | None
    detail: str
    cure: str = ""


class TooDear(Exception):
    """The next question might cost more than a check may."""


@dataclass
class Asker:
    """Asks one model, and adds up what it costs."""

    model: Provider
    tokens: Tokens = field(default=Tokens())

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
            **more,  # type: ignore[arg-type]
        )
        for attempt in range(TRIES):
            wanted = ANSWER_TOKENS + self.model.room
            allowed = self._affordable(question, wanted)
            try:
                answer = await self.model.ask(replace(question, max_tokens=allowed), hear)
            except ModelUnavailable as failed:
                self._add(failed.spent)
                if failed.outcome == "no_room" and allowed < wanted:
                    raise TooDear from None  # its thoughts take all that a cent buys
                if failed.then is not Then.AT_ONCE or attempt == TRIES - 1:
                    raise
            else:
                self._add(answer.tokens)
                return answer
        raise AssertionError("the last try has answered or raised")

    def _affordable(self, question: Question, wanted: int) -> int:
        """How many tokens the answer may have. Raises TooDear."""
        price, asked = self.model.price, worst_case(question).input
        before, million = (
            price(replace(self.tokens, input=self.tokens.input + asked)),
            price(Tokens(0, 10**6)),
        )
        if before is None or not million:
            return wanted
        most = min(wanted, int((MOST_USD - before) / million * 10**6))
        if most < LEAST_TOKENS:
            raise TooDear
        return most

    def _add(self, spent: Tokens | None) -> None:
        if spent is not None:
            self.tokens = Tokens(self.tokens.input + spent.input, self.tokens.output + spent.output)


async def check(settings: Settings) -> list[Line]:
    """Raises UnknownModel."""
    asker = Asker(_opened(settings))
    lines = await _reachable(asker, settings)
    if not lines[0].works:
        return lines
    tools = await _guarded("tools", lambda: _tools(asker))
    typed = await _typed(asker, settings)
    lines += [typed, *tools, _thoughts(asker.model, settings), await _window(asker.model, settings)]
    lines += [_price(asker), *_learned(asker.model)]
    return lines


def _opened(settings: Settings) -> Provider:
    model: Model = choose_models(settings).first
    if not isinstance(model, Provider):
        raise UnknownModel(f"MODEL={settings.model} is no language model, so there is nothing to ask.")
    return model


async def _reachable(asker: Asker, settings: Settings) -> list[Line]:
    """Whether it answers, and in pieces. A server that cannot stream is asked for whole answers from there
    on."""
    heard: list[str] = []
    refused = ""
    try:
        answer = await _counts(asker, heard.append)
    except TooDear:
        said = "not known: its first answer might cost more than a cent"
        return [Line("reachable", None, said, "MODEL_REASONING=low, or a cheaper model")]
    except ModelUnavailable as failed:
        refused = str(failed)
        if not settings.model_stream:
            return [_away(refused)]
        whole = _opened(settings.model_copy(update={"model_stream": False}))
        asker.model = whole
        try:
            answer = await _counts(asker)
        except (ModelUnavailable, TooDear):
            return [_away(refused)]
    told = "" if answer.tokens is not None else "; it does not say how many tokens it used"
    here = Line("reachable", True, f"it answers{told}")
    if not settings.model_stream:
        return [here, Line("streams", None, "not asked for (MODEL_STREAM=false)")]
    if refused or "stream" in asker.model.learned.left_out:
        return [here, Line("streams", False, refused or "it takes no streams", "MODEL_STREAM=false")]
    pieces = len(set(heard))
    if pieces > 1:
        return [here, Line("streams", True, f"an answer came in {pieces} pieces")]
    return [here, Line("streams", False, "an answer came in one piece", "MODEL_STREAM=false")]


async def _counts(asker: Asker, hear: Callable[[str], None] | None = None) -> Answer:
    return await asker.ask("Count from 1 to 20 in figures, separated by spaces.", hear)


def _away(said: str) -> Line:
    return Line("reachable", False, said, "see docs/models.md for what this vendor needs")


async def _guarded(what: str, find: Callable[[], Awaitable[list[Line]]]) -> list[Line]:
    try:
        return await find()
    except ModelUnavailable as failed:
        return [Line(what, False, str(failed))]
    except TooDear:
        return [Line(what, None, "not asked: with it, the check might cost more than a cent")]


async def _typed(asker: Asker, settings: Settings) -> Line:
    """Which ways of asking for a typed answer work."""
    learned = asker.model.learned
    first = learned.mode
    worked: list[SchemaMode] = []
    moved, said, dear = False, "", False
    for mode in get_args(SchemaMode):
        learned.mode = mode
        try:
            answer = await asker.ask("What is 17 + 25? Answer with the sum.", schema=SCHEMA)
            if learned.mode != mode:
                moved |= mode == settings.model_schema
            elif orjson.loads(answer.text).get("sum") == 42:
                worked.append(mode)
        except (ModelUnavailable, orjson.JSONDecodeError, AttributeError) as failed:
            said = said or str(failed)
        except TooDear:
            dear = True
            break
    learned.mode = first
    if dear and not worked:
        return Line("typed answers", None, "not asked: with it, the check might cost more than a cent")
    if not worked:
        return Line("typed answers", False, f"none of the three ways works: {said or 'wrong answers'}")
    works = (first or settings.model_schema) in worked or moved
    cure = "" if (first or settings.model_schema) in worked else f"MODEL_SCHEMA={worked[0]}"
    return Line("typed answers", works, f"MODEL_SCHEMA={', '.join(worked)}", cure)


async def _tools(asker: Asker) -> list[Line]:
    answer = await asker.ask(
        "Call the tool look for a.txt and for b.txt, both now, in one turn.", tools=(LOOK,)
    )
    if not answer.calls:
        cure = "start the server with its tool parser, or take a model that takes tools"
        return [Line("tools", False, "it made no tool call", cure)]
    several = "several calls in a turn"
    if len(answer.calls) > 1:
        found = Line(several, True, f"{len(answer.calls)} at once")
    else:
        found = Line(several, None, "one in a turn, which makes builds slower")
    return [Line("tools", True, "it calls them"), found]


def _thoughts(model: Provider, settings: Settings) -> Line:
    learned = model.learned
    if not learned.thinks:
        said = "none were seen"
    elif model.room:
        said = f"it thinks; room for {model.room:,} tokens of thoughts beside an answer"
    else:
        said = "it thinks, and its thoughts fit beside an answer"
    if learned.limit is not None:
        said += f"; an answer with its thoughts may have {learned.limit:,} tokens"
    if settings.model_reasoning is not None and "reasoning_effort" in learned.left_out:
        return Line("thoughts", False, f"{said}; it takes no effort", "MODEL_REASONING= (nothing)")
    return Line("thoughts", True, said)


async def _window(model: Provider, settings: Settings) -> Line:
    what = "context window"
    kind, _, name = settings.model.partition(":")
    server = server_of(settings, kind)
    tokens = model.learned.context or await told_window(kind, name, server, model.times)
    if tokens is not None:
        enough = tokens >= ENOUGH
        return Line(what, enough, f"{tokens:,} tokens, as its server tells", "" if enough else LARGER)
    where = {"address": server.url} if server.url else {"provider": VENDORS[kind].prices or "none"}
    by_list = listed_window(name, **where)
    if by_list is not None:
        return Line(
            what, by_list >= ENOUGH, f"{by_list:,} tokens by the list of prices; its server does not tell"
        )
    return Line(what, None, "not told", f"its server may need {LARGER}" if server.url else "")


def _price(asker: Asker) -> Line:
    if asker.usd is None:
        cure = "MODEL_INPUT_PRICE_USD and MODEL_OUTPUT_PRICE_USD, or a budget in tokens"
        return Line("price", None, "not known", cure)
    return Line("price", True, f"known; this check has cost {asker.usd:.4f} USD")


def _learned(model: Provider) -> list[Line]:
    """What its refusals have taught: it is asked so from the start of each process."""
    told = list(dict.fromkeys(model.learned.told))
    return [Line("asked otherwise", True, "; ".join(told))] if told else []


SHOWN = {True: "yes", False: "NO", None: "–"}


def show(console: Console, name: str, lines: Sequence[Line]) -> None:
    table = Table(title=name, title_justify="left")
    for heading in ("", "works", "", "set"):
        table.add_column(heading, overflow="fold")
    for line in lines:
        table.add_row(line.what, SHOWN[line.works], line.detail, line.cure)
    console.print(table)


def main() -> int:
    """`python -m workers.model_check`. Exit code 1 if something does not work, 2 if nothing was asked."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    parser = argparse.ArgumentParser(prog="boardroom model check")
    parser.add_argument("name", nargs="?", default="", help="a model as in MODEL; default: MODEL")
    parser.add_argument("--yes", action="store_true", help="do not ask first")
    arguments = parser.parse_args()
    try:
        settings = load_settings()
        if arguments.name:
            settings = settings.model_copy(update={"model": arguments.name})
        _opened(settings)
        question = f"Ask {settings.model} five small questions, for less than a cent? [y/N] "
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
    return 1 if any(line.works is False for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
