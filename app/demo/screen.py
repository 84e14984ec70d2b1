"""The output of the demo: bubbles and a progress bar at a terminal, plain lines elsewhere."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from rich.align import Align
from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from app.demo.client import Json
from app.domain.job import Status
from app.domain.proof import BEFORE
from app.domain.ticket import TicketStatus

BUBBLE_COLUMNS = 76
COLOURS = {"CEO": "magenta", "CTO": "cyan", "Secretary": "yellow"}
MARKS = {
    TicketStatus.DONE: ("✅", "green"),
    TicketStatus.FAILED: ("❌", "red"),
    TicketStatus.SKIPPED: ("⏭️ ", "yellow"),
}
REHEARSAL = "rehearsal"
LOG_LINES = 3
INDENT = 3
CONTROLS = {
    code: "\N{REPLACEMENT CHARACTER}" for code in (*range(32), *range(127, 160)) if code not in (9, 10)
}
"""Texts of models and boxes are untrusted: control characters are replaced before they reach the terminal."""


class Screen:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} tickets", style="dim"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._bar: TaskID | None = None

    @contextmanager
    def live(self) -> Iterator[None]:
        with self._progress:
            yield

    def opening(self, idea: str, job_id: str, email: str, password: str, model: str) -> None:
        self._say(Text(f"💡 {idea}", style="bold"), 0)
        self._say(Text(f"job {job_id} of {email}, password {password}", style="dim"))
        speaks = "the rehearsal, a scripted cast and no language model" if model == REHEARSAL else model
        self._say(Text(f"the agents are {speaks}", style="dim"))

    def bubble(self, sender: str, content: str, *, ours: bool) -> None:
        if not self._console.is_terminal:
            self._say(Text(f"{sender}: {content}"), 0)
            return
        bubble = Panel(
            _harmless(Text(content)),
            title=_harmless(Text(sender)),
            title_align="right" if ours else "left",
            border_style="blue" if ours else "green",
            width=min(BUBBLE_COLUMNS, self._console.width - 4),
        )
        self._console.print(Align(bubble, "right" if ours else "left"))

    def status(self, status: Status, message: str) -> None:
        self._say(Text.assemble(("── ", "dim"), (status, "bold"), (f"  {message}", "dim")), 0)

    def turn(self, agent: str, message: str) -> None:
        self._say(Text.assemble((f"{agent}: ", f"bold {COLOURS.get(agent, 'white')}"), message))

    def note(self, text: str) -> None:
        self._say(Text(text, style="dim"))

    def prd(self, spec: Json, markdown: str) -> None:
        heading = next((line.lstrip("# ") for line in markdown.splitlines() if line.startswith("#")), "PRD")
        requirements = len(spec.get("requirement_list") or [])
        about = f", {requirements} requirements" if requirements else ""
        self._say(Text(f"📄 {heading}: {len(markdown.split())} words{about}"))

    def progress(self, closed: int, total: int) -> None:
        if self._bar is None:
            self._bar = self._progress.add_task("Building", total=total)
        self._progress.update(self._bar, completed=closed, total=total)

    def working_on(self, title: str) -> None:
        self._say(Text(f"🔄 {title}"))

    def again(self, title: str, attempt: int, log: str) -> None:
        """A check has failed and the Builder tries again; shows the end of the output."""
        self._say(Text(f"🔁 {title}: a check failed, attempt {attempt}", style="yellow"))
        for line in [line for line in log.splitlines() if line.strip()][-LOG_LINES:]:
            self._say(Text(line.rstrip(), style="dim"), 2 * INDENT)

    def closed(self, title: str, status: str, message: str, checks: int) -> None:
        mark, colour = MARKS[TicketStatus(status)]
        how = f"{checks} check{'' if checks == 1 else 's'} passed" if status == TicketStatus.DONE else message
        self._say(Text.assemble(f"{mark} {title}", (f"  {how}", colour)))

    def files(self, nodes: list[Json]) -> None:
        tree = Tree(Text("/app", style="bold"))
        _grow(tree, nodes)
        self._console.print(tree)

    def totals(self, job: Json, tickets: Counter[str], evidence: list[Json]) -> None:
        usage = job["usage"]
        results = [
            (item["ticket_id"], item["check"]["id"], item["phase"], item["passed"]) for item in evidence
        ]
        red = {(ticket, check) for ticket, check, phase, passed in results if phase in BEFORE and not passed}
        holds = {(ticket, check) for ticket, check, phase, passed in results if phase == "final" and passed}
        checks = {(ticket, check) for ticket, check, _, _ in results if ticket}
        table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
        table.add_row("result", f"{job['status']}, {job['verification']}")
        table.add_row("time", f"{time.monotonic() - self._began:.0f} s")
        table.add_row("model calls", f"{usage['model_calls']}, {usage['cost_usd']:.2f} USD")
        table.add_row("tickets", ", ".join(f"{count} {status}" for status, count in sorted(tickets.items())))
        table.add_row(
            "checks",
            f"{len(red & holds)} of {len(checks)} failed before the work and pass at the end; "
            f"{len(results)} results in all",
        )
        self._console.print(table)

    def failure(self, error: str, code: str | None) -> None:
        self._say(Text(f"The job failed ({code}): {error}", style="bold red"), 0)

    def _say(self, text: Text, indent: int = INDENT) -> None:
        _harmless(text)
        if self._console.is_terminal:
            self._console.print(Padding(text, (0, 0, 0, indent)))
        else:
            self._console.print(Text(" " * indent).append_text(text), soft_wrap=True)


def _harmless(text: Text) -> Text:
    text.plain = text.plain.translate(CONTROLS)
    return text


def _grow(tree: Tree, nodes: list[Json]) -> None:
    for node in nodes:
        if node["type"] == "dir" and node["children"]:
            _grow(tree.add(_harmless(Text(f"{node['name']}/", style="bold"))), node["children"])
        elif node["type"] == "file":
            tree.add(_harmless(Text.assemble(node["name"], (f"  {node['size']:,} bytes", "dim"))))
