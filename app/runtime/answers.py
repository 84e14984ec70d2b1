"""Validates the answers of a guest, which is not trusted, and turns them into values, errors and verdicts."""

import codecs
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from app.domain.errors import Conflict, Forbidden, Invalid, NotFound, Refusal, Stale, TooLarge
from app.domain.ticket import CommandCheck
from app.domain.values import clean, clip
from app.runtime.guest.frames import Json, Violation
from app.runtime.live_app import AppHeld
from app.runtime.workspace import (
    AppStatus,
    Commit,
    Node,
    NotClean,
    RuntimeProblem,
    TreeMissing,
    WorkspaceBusy,
)

Size = Annotated[int, Field(ge=0, le=2**62)]
CALENDAR = (datetime.min.replace(tzinfo=UTC).timestamp(), datetime(9999, 12, 31, tzinfo=UTC).timestamp())
Moment = Annotated[float, Field(ge=-(2**63), le=2**63)]
"""A Unix time in the range of a file system's 64 bits; `moment` limits it to the calendar of `datetime`."""
Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Etag = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class Shape(BaseModel):
    """Base of all answers. Types are strict; unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class Done(Shape):
    """An answer without content."""


class About(Shape):
    size: Size
    modified: Moment
    etag: Etag


class Ignored(Shape):
    rule: Annotated[str, Field(max_length=5000)]


class Listed(Shape):
    truncated: bool


class Ran(Shape):
    exit: int | None
    timed_out: bool
    limit: Annotated[str, Field(max_length=40)]
    total: Size
    head: Size


class Tree(Shape):
    tree: Sha


class Committed(Shape):
    """A commit; both fields are None if there is none."""

    sha: Sha | None = None
    tree: Sha | None = None


class Shown(Shape):
    found: bool


class CheckedCommand(Shape):
    exit: int | None
    installed: bool
    timed_out: bool = False
    limit: Annotated[str, Field(max_length=40)] = ""


Status = Annotated[int, Field(ge=0, le=999)]
HeadLines = Annotated[list[Annotated[str, Field(max_length=8192)]], Field(max_length=100)]
MOST_REQUESTS = 25


class CheckedHttp(Shape):
    """How far the requests of a check have come: the status of each answer, and the size of its body."""

    stage: Annotated[str, Field(max_length=40)]
    exit: int | None = None
    statuses: Annotated[list[Status], Field(max_length=MOST_REQUESTS)] = []
    sizes: Annotated[list[Size], Field(max_length=MOST_REQUESTS)] = []
    about: Size = 0
    problem: Annotated[str, Field(max_length=1000)] = ""


class AboutAnswer(Shape):
    """What else is known of an answer: its headers as lines, the values that were taken from it, and
    whether its body was cut, because it is longer than what is looked at."""

    headers: HeadLines
    taken: dict[str, JsonValue]
    cut: bool = False


class Wiped(Shape):
    kept: Annotated[list[Sha], Field(max_length=1000)]


class CheckedFile(Shape):
    found: bool
    reason: Annotated[str, Field(max_length=40)] = ""


Began = Moment | None


class App(Shape):
    state: Literal["none", "starting", "answering", "died"]
    port: Annotated[int, Field(ge=0, le=65535)] | None
    began: Began = None
    restarts: Annotated[int, Field(ge=0, le=1000)]
    exit_code: int | None
    log_tail: Annotated[str, Field(max_length=65_536)]
    held: bool = False


class Answered(Shape):
    status: Status
    headers: HeadLines = []


class LeftOut(Shape):
    paths: Annotated[list[Annotated[str, Field(max_length=4200)]], Field(max_length=5)]
    more: Size


class Switched(Shape):
    """Paths; see `guest.switching.switch`."""

    kept: Annotated[list[Annotated[str, Field(max_length=4200)]], Field(max_length=200)]
    replaced: Annotated[list[Annotated[str, Field(max_length=4200)]], Field(max_length=200)]


class Aside(Shape):
    entries: Size
    bytes: Size


class Usage(Shape):
    began: Moment
    memory_bytes: Size
    cpu_percent: Annotated[float, Field(ge=0, le=1e6)] | None
    idle_s: Annotated[float, Field(ge=0, le=1e9)]
    answers_since: Began = None
    busy: bool = False


Entry = tuple[int, Annotated[str, Field(max_length=1100)], bool, Size, Moment]
_ENTRIES: TypeAdapter[list[Entry]] = TypeAdapter(Annotated[list[Entry], Field(max_length=1000)])

S = TypeVar("S", bound=Shape)


def answer_of(shape: type[S], answer: Json, shown: str = "") -> S:
    """The answer as a `shape`. If it is a refusal, that is raised as an error that names the path `shown`.
    Raises Violation if the answer has another shape."""
    code = answer.get("refused")
    if code is not None:
        raise _refusal(str(code), clean(str(answer.get("detail", "")))[:1000], shown)
    try:
        return shape.model_validate(answer)
    except ValidationError as error:
        raise Violation(f"an answer is no {shape.__name__}") from error


def as_text(hear: Callable[[str], None]) -> Callable[[bytes], None]:
    """A function that decodes pieces of bytes and passes them to `hear` as text that can be stored."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def take(piece: bytes) -> None:
        if text := clean(decoder.decode(piece)):
            hear(text)

    return take


def moment(seconds: float) -> datetime:
    """A Unix time as a UTC datetime. Times that `datetime` cannot hold become its first or last one."""
    return datetime.fromtimestamp(min(max(seconds, CALENDAR[0]), CALENDAR[1]), UTC)


def moment_or_none(seconds: float | None) -> datetime | None:
    return None if seconds is None else moment(seconds)


def nodes_of(path: str, data: bytes) -> list[Node]:
    """The tree of a listing, whose entries are `[index of the parent or -1, name, is a folder, size in bytes,
    modified (Unix time)]`. Raises Violation."""
    try:
        entries = _ENTRIES.validate_json(data)
    except ValidationError as error:
        raise Violation("a listing is none") from error
    top: list[Node] = []
    nodes: list[Node] = []
    for parent, name, is_folder, size, modified in entries:
        if parent >= len(nodes) or "/" in name:
            raise Violation("a listing is no tree")
        above = path if parent < 0 else nodes[parent].path
        node = Node(
            name=name,
            path=f"{above.rstrip('/')}/{name}",
            type="dir" if is_folder else "file",
            size=size,
            modified_at=moment(modified),
            **({"children": []} if is_folder else {}),
        )
        (top if parent < 0 else nodes[parent].children).append(node)
        nodes.append(node)
    return top


def _refusal(code: str, detail: str, path: str) -> Refusal | RuntimeProblem:
    """The error for a guest's refusal `code`. Only for unknown codes `detail`, the guest's own text, is
    shown."""
    match code:
        case "missing":
            return NotFound(f"File not found: {path}.", code="file_not_found")
        case "outside":
            return Forbidden("The path leads outside /app.", code="outside_workspace")
        case "not_allowed":
            return Forbidden(f"The workspace does not allow this: {path}.", code="not_allowed")
        case "repository":
            return Forbidden("The repository is not edited: a save is committed to it.", code="not_allowed")
        case "not_file":
            return Conflict(f"Not a file: {path}.", code="not_a_file")
        case "not_folder":
            return Conflict(f"Not a folder: {path}.", code="not_a_folder")
        case "too_large":
            return TooLarge(f"The file is too large: {path}.")
        case "stale":
            return Stale("The file has changed since it was read.")
        case "bad_name":
            return Invalid("The path or one of its names is too long.", code="bad_path")
        case "full":
            return Conflict("The workspace is full.", code="workspace_full")
        case "not_listening":
            return Conflict("Nothing listens on that port.", code="not_listening")
        case "held":
            return AppHeld()
        case "too_deep" | "too_many":
            return TooLarge("The app's data are nested too deeply, or are too many files.")
        case "in_the_way":
            return Conflict(
                f"The app keeps a folder where a file has to be: {clip(detail, 200)}.", code="in_the_way"
            )
        case "not_clean":
            return NotClean(f"the box is not clean: {clip(detail, 200)}")
        case "busy":
            return WorkspaceBusy("a worker is attached")
        case "no_tree":
            return TreeMissing("The box was lost, and with it what was done since the last commit.")
    return RuntimeProblem(f"the guest could not do it: {detail or code}")


def commit_of(made: Committed) -> Commit:
    if made.sha is None or made.tree is None:
        raise Violation("a commit without a name")
    return Commit(made.sha, made.tree)


def app_of(app: App) -> AppStatus:
    return AppStatus(
        app.state,
        app.port,
        app.restarts,
        app.exit_code,
        clean(app.log_tail),
        moment_or_none(app.began),
        app.held,
    )


LIMITS = {
    "memory": "the memory limit of the box was reached",
    "processes": "the box had too many processes",
    "disk": "the disk limit of the box was reached",
}


def output_text(output: bytes, ran: Ran) -> str:
    """The output of a command as text. Between its head and tail a line says how much was left out; the last
    line names the limit that ended the command, if one did."""
    head, tail = output[: ran.head], output[ran.head :]
    text = head.decode(errors="replace")
    if (left_out := ran.total - len(output)) > 0:
        text += f"\n[… {left_out} bytes left out …]\n"
    text += tail.decode(errors="replace")
    if ran.limit:
        text += f"\n[ended: {LIMITS.get(ran.limit, ran.limit)}]\n"
    return clean(text)


def command_passed(check: CommandCheck, exit_code: int | None, output: str) -> bool:
    return exit_code == check.expect_exit and (check.expect_output is None or check.expect_output in output)


def holds(value: Any, part: JsonValue) -> bool:
    """Whether the JSON `value` contains `part`. An object must have every key of `part`, each with a value
    that contains that of `part`. A list must have, for each item of `part`, some item that contains it. All
    other values must be equal; true and 1 are not."""
    if isinstance(part, dict):
        return isinstance(value, dict) and all(
            key in value and holds(value[key], inner) for key, inner in part.items()
        )
    if isinstance(part, list):
        return isinstance(value, list) and all(any(holds(item, inner) for item in value) for inner in part)
    return isinstance(value, bool) == isinstance(part, bool) and bool(value == part)
