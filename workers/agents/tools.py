"""The Builder's tools: their names and arguments. `pipeline.building` carries them out in the box.

Every path is absolute under /app or relative to it. A tool that refuses answers with a sentence that begins
with `error:`; nothing a tool says ends the loop but `finish`.
"""

from functools import cache
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from workers.llm.model import ToolSpec

Path = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


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


class EditFile(Tool):
    """Replace `old`, which must stand exactly once in the file, by `new`."""

    name = "edit_file"
    changes = True
    path: Path
    old: Annotated[str, StringConstraints(min_length=1, max_length=100_000)]
    new: Annotated[str, StringConstraints(max_length=100_000)]


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
    """Send one HTTP request to the app that `start_app` started; `body` is sent as it is, as JSON."""

    name = "request"
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"] = "GET"
    path: Annotated[str, StringConstraints(pattern=r"^/[^\s]*$", max_length=2000)]
    body: Annotated[str, StringConstraints(max_length=50_000)] | None = None


class RunCommand(Tool):
    """Run a shell line in /app. It has no terminal and ends after `timeout_s` seconds."""

    name = "run_command"
    changes = True
    command: Annotated[str, StringConstraints(min_length=1, max_length=4000)]
    timeout_s: int = Field(default=60, ge=1, le=300)


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
        Finish,
    )
}


@cache
def specs() -> tuple[ToolSpec, ...]:
    """The tools as a model is offered them: the same for every turn."""
    return tuple(
        ToolSpec(name=name, description=(tool.__doc__ or "").strip(), parameters=tool.model_json_schema())
        for name, tool in TOOLS.items()
    )
