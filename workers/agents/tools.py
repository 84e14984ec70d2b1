"""The Builder's tools: their names and arguments. `pipeline.building` carries them out in the box.

Every path is absolute under /app or relative to it. A tool that refuses answers with a sentence that begins
with `error:`; nothing a tool says ends the loop but `finish`.
"""

from functools import cache
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from workers.llm.model import ToolSpec

Path = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
Line = Annotated[str, StringConstraints(max_length=10_000)]
Header = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}:[\x20-\x7e]{0,4000}$")]


class Tool(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str]
    changes: ClassVar[bool] = False
    """Whether it may change files: then the tree is recorded before the result is stored."""


class ListFiles(Tool):
    """List the files below a folder."""

    name = "list_files"
    path: Path = "/app"


class ReadFile(Tool):
    """Read a text file, or the lines from `first` to `last` (counted from 1)."""

    name = "read_file"
    path: Path
    first: int = Field(default=1, ge=1)
    last: int | None = Field(default=None, ge=1)


class WriteFile(Tool):
    """Write a whole text file, making its folders."""

    name = "write_file"
    changes = True
    path: Path
    content: Annotated[str, StringConstraints(max_length=200_000)]


Old = Annotated[str, StringConstraints(max_length=100_000)]


class Edit(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    old: Annotated[Old, Field(min_length=1)]
    new: Old


class EditFile(Tool):
    """Replace `old`, which must stand exactly once in the file, by `new`. Several changes of one file go into
    `edits`, in their order; if one cannot be made, none is."""

    name = "edit_file"
    changes = True
    path: Path
    old: Old = ""
    new: Old | None = None
    edits: Annotated[list[Edit], Field(max_length=50)] = []

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        if not self.old and not self.edits:
            raise ValueError("`old` is empty, and there are no `edits`")
        if bool(self.old) != (self.new is not None):
            raise ValueError("`old` and `new` belong together")
        return self

    @property
    def all(self) -> list[Edit]:
        """The changes, in their order."""
        first = [Edit(old=self.old, new=self.new)] if self.new is not None else []
        return [*first, *self.edits]


class DeleteFile(Tool):
    """Delete one file."""

    name = "delete_file"
    changes = True
    path: Path


class Search(Tool):
    """Find lines that hold `text`, word for word, in the files below a folder."""

    name = "search"
    text: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    path: Path = "/app"


class StartApp(Tool):
    """Start the app from /app/boardroom.json, anew if it runs, and wait for its first answer."""

    name = "start_app"


class StopApp(Tool):
    """Stop the app."""

    name = "stop_app"


class AppStatus(Tool):
    """How the app is, and the last lines it printed."""

    name = "app_status"


class Request(Tool):
    """Send one HTTP request to the app that `start_app` started, as a browser would: cookies are kept until
    the next `start_app`, redirects are shown and not followed. `form` is sent as the fields of a form, `body`
    as it is, as JSON unless `headers` (`Name: value`) say otherwise."""

    name = "request"
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"] = "GET"
    path: Annotated[str, StringConstraints(pattern=r"^/[^\s]*$", max_length=2000)]
    body: Annotated[str, StringConstraints(max_length=50_000)] | None = None
    form: Annotated[dict[str, Line], Field(max_length=100)] | None = None
    headers: Annotated[list[Header], Field(max_length=30)] = []


class Look(Tool):
    """Open a page of the app that `start_app` started in a browser, in a window `width` pixels wide, as a
    visitor who is not logged in: its text, what sticks out at the side, what fails or complains in the
    console. Only if the box has a browser."""

    name = "look"
    path: Annotated[str, StringConstraints(pattern=r"^/[^\s]*$", max_length=2000)]
    width: int = Field(default=390, ge=200, le=2560)


class RunCommand(Tool):
    """Run a shell line in /app. It has no terminal and ends after `timeout_s` seconds. `$PORT` is a port that
    is free then."""

    name = "run_command"
    changes = True
    command: Annotated[str, StringConstraints(min_length=1, max_length=4000)]
    timeout_s: int = Field(default=60, ge=1, le=300)


class RunCheck(Tool):
    """Run one of the ticket's checks, by its `id`, on the files as they are now, exactly as the service will
    run it: in a clean checkout, in an empty box."""

    name = "run_check"
    id: Annotated[str, StringConstraints(min_length=1, max_length=64)]


class Contest(Tool):
    """Say that a check of the ticket is wrong, and why, as exactly as you can: what it demands, and where the
    description or a criterion says otherwise. The Project Manager keeps, mends or drops it. Each check once,
    at most three a ticket."""

    name = "contest"
    id: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    why: Annotated[str, StringConstraints(min_length=1, max_length=2000)]


class Finish(Tool):
    """The ticket is done: the service commits and runs the checks."""

    name = "finish"
    summary: Annotated[str, StringConstraints(min_length=1, max_length=2000)]


TOOLS: dict[str, type[Tool]] = {
    tool.name: tool
    for tool in (
        ListFiles,
        ReadFile,
        Search,
        WriteFile,
        EditFile,
        DeleteFile,
        RunCommand,
        StartApp,
        StopApp,
        AppStatus,
        Request,
        Look,
        RunCheck,
        Contest,
        Finish,
    )
}


@cache
def specs() -> tuple[ToolSpec, ...]:
    """The tools as a model is offered them: the same for every turn."""
    return tuple(
        ToolSpec(name=name, description=_words(tool), parameters=_parameters(tool))
        for name, tool in TOOLS.items()
    )


def _words(tool: type[Tool]) -> str:
    return " ".join((tool.__doc__ or "").split())


def _parameters(tool: type[Tool]) -> dict[str, Any]:
    """Without the words on the tool, which are told beside them."""
    return {key: value for key, value in tool.model_json_schema().items() if key != "description"}
