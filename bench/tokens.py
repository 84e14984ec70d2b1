"""What a recorded job has used of its model, by role, as its server billed it:

python -m bench.tokens TAPE

And what the same job sends to its model in this version, beside another checkout: the same plan, the same
tool calls for each ticket (about ten minutes for each of them; no key, no network, no engine).

python -m bench.tokens TAPE TREE

A tape is written by `boardroom tape JOB`; it may be packed with gzip. TREE is a checkout with a `.venv` of
its own, which sets no cache marks for Anthropic's models, unless the last argument is `marks`.
"""

import asyncio
import gzip
import os
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.played import Asked, Player
from bench.service import service_of
from tests.helpers.guide_client import GuideSocket
from tests.helpers.model_server import open_server
from workers.llm.model import Tokens
from workers.llm.tape import Head, Said, TapeLine, read_tape

CHARACTERS_A_TOKEN = 4
CACHED_PRICE = 0.1
"""Of a token that a provider reads from its cache, beside one that is new."""

LEAST_CACHED = 1024 * CHARACTERS_A_TOKEN
"""Providers read nothing from their cache that is shorter."""

MUST_WEIGH, MUST_BE_LONG, MUST_BE_CACHED = 0.4, 0.75, 0.85
LONG_TURNS = 3
HEAD = 3
"""The tools, the answer's shape and the instructions."""

MARKS = "marks"
ENDS = ("build_done", "failed")


@dataclass(frozen=True)
class Sent:
    """Characters of requests, and how many of them stood at the beginning of an earlier one."""

    requests: int
    characters: int
    cached: int

    @property
    def weighed(self) -> float:
        """Tokens as providers bill them."""
        new = self.characters - self.cached
        return (new + CACHED_PRICE * self.cached) / CHARACTERS_A_TOKEN


Cache = Callable[[Asked, Asked], int]
"""How many characters of the first request a provider reads from its cache when it has had the other."""


def whole_prefix(request: Asked, earlier: Asked) -> int:
    """OpenAI, Google and most servers: whatever both begin with."""
    one, other = request.text, earlier.text
    least, most = 0, min(len(one), len(other))
    while least < most:
        middle = (least + most + 1) // 2
        least, most = (middle, most) if one[:middle] == other[:middle] else (least, middle - 1)
    return least


def to_a_mark(request: Asked, earlier: Asked) -> int:
    """Anthropic's models, where we set marks: after the instructions, and at the end of a request."""
    parts, known = request.parts, earlier.parts
    if parts[: len(known)] == known:
        return len(earlier.text)
    return len("\n".join(parts[:HEAD])) if parts[:HEAD] == known[:HEAD] else 0


def no_cache(request: Asked, earlier: Asked) -> int:
    """Anthropic's models, where a version sets no marks."""
    return 0


def of_requests(
    asked: Sequence[Asked], which: Sequence[bool] | None = None, cache: Cache = whole_prefix
) -> Sent:
    """Of all requests, or those of `which`; a cache holds the earlier ones either way."""
    characters = cached = count = 0
    for place, request in enumerate(asked):
        if which is not None and not which[place]:
            continue
        known = max((cache(request, each) for each in asked[:place]), default=0)
        count += 1
        characters += len(request.text)
        cached += known if known >= LEAST_CACHED else 0
    return Sent(count, characters, cached)


def of_long_tickets(asked: Sequence[Asked]) -> Sent:
    """Of the Builder's requests for attempts of more than LONG_TURNS turns."""
    turns = Counter(request.attempt for request in asked if request.attempt)
    return of_requests(asked, [turns[request.attempt] > LONG_TURNS for request in asked])


async def play(lines: Sequence[TapeLine], tree: Path | None, folder: Path) -> list[Asked]:
    """Play the job of the tape in a service of this version, or that of `tree`."""
    head = lines[0]
    assert isinstance(head, Head)
    player = Player(lines)
    async with open_server() as server:
        server.scripts["sk-bench"] = [player.move]
        settings = {"MODEL": "openai:tape", "OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "sk-bench"}
        async with service_of(tree, folder, **settings) as running:
            ada = await running.person()
            job = await ada.post("/api/jobs/", 201, {"prompt": head.idea})
            async with ada.socket(job["id"], "&since=0") as socket:
                for words in head.said:
                    await socket.until("stageUpdate", role="agent")
                    await socket.say(words)
                await _over(socket)
                for wish in head.wishes:
                    await ada.post(f"/api/jobs/{job['id']}/continue/", 202, {"requirements": wish})
                    await _over(socket)
            await ada.http.aclose()
    return player.asked


async def _over(socket: GuideSocket) -> None:
    """Until the run has ended."""
    while (event := await socket.next())["kind"] != "jobStatus" or event["status"] not in ENDS:
        pass
    print(event["status"], event.get("verification"), event["message"], file=sys.stderr)


def show_bill(lines: Sequence[TapeLine]) -> None:
    said = [line for line in lines if isinstance(line, Said)]
    requests = Counter(line.agent for line in said)
    print("| role | requests | input | output |\n| --- | --- | --- | --- |")
    for role in (*requests, "all"):
        bills = [line.tokens or Tokens() for line in said if role in (line.agent, "all")]
        sent, answered = sum(bill.input for bill in bills), sum(bill.output for bill in bills)
        print(f"| {role} | {len(bills)} | {sent:,} | {answered:,} |")


def show_sent(before: Sequence[Asked], now: Sequence[Asked]) -> None:
    print("| purpose | requests before | now | characters before | now | weighed before | now |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    purposes: dict[str, None] = dict.fromkeys(request.purpose for request in [*before, *now])
    totals: dict[str, list[Sent]] = defaultdict(list)
    for purpose in [*purposes, "all"]:
        for asked in (before, now):
            which = [purpose in (request.purpose, "all") for request in asked]
            totals[purpose].append(of_requests(asked, which))
        was, is_ = totals[purpose]
        print(
            f"| {purpose} | {was.requests} | {is_.requests} | {was.characters:,} | {is_.characters:,} "
            f"| {was.weighed:,.0f} | {is_.weighed:,.0f} |"
        )
    was, is_ = totals["all"]
    was_long, is_long = of_long_tickets(before), of_long_tickets(now)
    print("\n| | before | now | ratio | must be | holds |\n| --- | --- | --- | --- | --- | --- |")
    _row("P23: input tokens, weighed; a provider caches by itself", was.weighed, is_.weighed, MUST_WEIGH)
    marked = of_requests(now, cache=to_a_mark)
    unmarked = of_requests(before, cache=to_a_mark if MARKS in sys.argv else no_cache)
    _row("P23: the same; it wants marks (Anthropic)", unmarked.weighed, marked.weighed, MUST_WEIGH)
    _row("P23: characters", was.characters, is_.characters, MUST_BE_LONG)
    share_before, share = (each.cached / max(each.characters, 1) for each in (was_long, is_long))
    holds = "yes" if share >= MUST_BE_CACHED else "**no**"
    print(
        f"| P22: cache-readable, tickets of more than {LONG_TURNS} turns | {share_before:.1%} | {share:.1%} "
        f"| – | ≥ {MUST_BE_CACHED:.0%} | {holds} |"
    )


def _row(name: str, was: float, is_: float, must: float) -> None:
    ratio = is_ / was
    holds = "yes" if ratio <= must else "**no**"
    print(f"| {name} | {was:,.0f} | {is_:,.0f} | **{ratio:.3f}** | ≤ {must} | {holds} |")


def _read(path: Path) -> list[TapeLine]:
    if path.suffix != ".gz":
        return read_tape(path)
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as plain:
        Path(plain.name).write_bytes(gzip.decompress(path.read_bytes()))
        return read_tape(Path(plain.name))


async def main(tape: Path, tree: Path | None, folder: Path) -> None:
    lines = _read(tape)
    if tree is None:
        show_bill(lines)
        return
    before = await play(lines, tree, folder / "before")
    now = await play(lines, None, folder / "now")
    show_sent(before, now)


if __name__ == "__main__":
    os.environ.pop("DOCKER_HOST", None)
    with tempfile.TemporaryDirectory() as made:
        other = Path(sys.argv[2]).absolute() if len(sys.argv) > 2 else None
        asyncio.run(main(Path(sys.argv[1]), other, Path(made)))
