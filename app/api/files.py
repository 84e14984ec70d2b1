"""Routes of a job's files."""

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Literal
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from app.actions.workspaces import files_box, save_file
from app.api.deps import Caller, Here, House, JobId, SignedInRoute, clamp, shape_answer
from app.api.documented import refusals
from app.api.shapes import WHEN, example
from app.domain.errors import NotText
from app.domain.values import ClientText
from app.domain.workspace import LIST_LIMIT, ROOT
from app.runtime import workspace

router = APIRouter(
    prefix="/api/jobs/{job_id}/files", tags=["7 · Container and files"], route_class=SignedInRoute
)

WAKING = (
    "not_found",
    "container_not_found",
    "container_stopped",
    "engine_down",
    "containers_busy",
    "invalid",
)
IN_PATH = ("outside_workspace", "file_not_found", "bad_path")

ClientPath = Annotated[
    str, Query(description="Absolute under `/app`, or relative to it.", examples=["/app/src/App.tsx"])
]


class Tree(workspace.Listing):
    """The entries of `path`. `truncated` says that there are more than `limit` allowed to inspect."""

    model_config = example(
        path="/app",
        structure=[
            {
                "name": "src",
                "path": "/app/src",
                "type": "dir",
                "size": 0,
                "modified_at": WHEN,
                "children": [],
            },
            {"name": "README.md", "path": "/app/README.md", "type": "file", "size": 15, "modified_at": WHEN},
        ],
        truncated=False,
    )


_ETAG = "5d41402abc4b2a76b9719d911017c592"
_FILE = {"path": "/app/README.md", "size": 15, "modified_at": WHEN, "etag": _ETAG}


class FileContent(workspace.Stored):
    model_config = example(**_FILE, content="# Reading list\n", encoding="utf-8")

    content: str
    encoding: Literal["utf-8"]


class Save(BaseModel):
    """With the `etag` of an earlier answer the file is written only if it has not changed since then."""

    model_config = example(path="/app/README.md", content="# Reading list\n", encoding="utf-8")

    path: str
    content: ClientText
    encoding: Literal["utf-8"] = "utf-8"
    etag: str | None = None


class Saved(workspace.Saved):
    model_config = example(**_FILE, bytes_written=15)


@router.get("/structure/", response_model=Tree, responses=refusals("not_a_folder", *IN_PATH, *WAKING))
async def file_tree(
    here: Here,
    caller: Caller,
    job_id: JobId,
    path: ClientPath = ROOT,
    limit: Annotated[
        int, Query(description="How many entries are inspected, breadth first, 1–1000 (clamped).")
    ] = 200,
) -> Response:
    """The entries of a folder: folders first, then by name. `node_modules`, `.git`, build output and caches
    are listed without their content."""
    async with files_box(here.resources, caller.user_id, job_id) as box:
        listing = await box.list(path, clamp(limit, *LIST_LIMIT))
    return shape_answer(listing, only_set=True)


@router.get(
    "/content/",
    response_model=FileContent,
    responses={
        200: {
            "content": {"application/octet-stream": {}},
            "description": "The text; with `download=1` the raw bytes.",
        },
        **refusals("not_a_file", "too_large", "not_text", *IN_PATH, *WAKING),
    },
)
async def file_content(
    here: Here,
    caller: Caller,
    job_id: JobId,
    path: ClientPath,
    download: Annotated[bool, Query(description="Get the raw bytes of a file of any kind and size.")] = False,
) -> Response:
    """The content of a UTF-8 text file of at most 2 MiB. With `download=1` the raw bytes of any file."""
    if download:
        pieces = _pieces(here, caller.user_id, job_id, lambda box: box.download(path))
        return await stream(pieces, path.rstrip("/").rsplit("/", 1)[-1], "application/octet-stream")
    async with files_box(here.resources, caller.user_id, job_id) as box:
        file = await box.read(path)
    try:
        text = file.content.decode()
    except UnicodeDecodeError:
        raise NotText(f"Not UTF-8 text: {file.path}. Add download=1 for its bytes.") from None
    return shape_answer(FileContent(**{**dict(file), "content": text, "encoding": "utf-8"}))


@router.post(
    "/save",
    response_model=Saved,
    responses=refusals(
        "bad_json",
        "job_running",
        "not_allowed",
        "not_a_file",
        "workspace_full",
        "stale_etag",
        "too_large",
        *IN_PATH,
        *WAKING,
    ),
)
async def file_save(here: Here, caller: Caller, job_id: JobId, body: Save) -> Response:
    """Write a text file of at most 524,288 bytes. Parent folders are made, the write is atomic, and the
    change is committed as "Client". Not possible while the Builder works, nor inside `/app/.git`."""
    return shape_answer(
        await save_file(here.resources, caller.user_id, job_id, body.path, body.content, body.etag)
    )


@router.get(
    "/archive/",
    response_class=Response,
    responses={
        200: {"content": {"application/zip": {}}, "description": "The archive, streamed while it is made."},
        **refusals(*WAKING),
    },
)
async def file_archive(here: Here, caller: Caller, job_id: JobId) -> Response:
    """The workspace as a `.zip`, without `node_modules`, caches, and build output that git ignores. If more
    had to be left out, its last file, `LEFT-OUT.txt`, says what."""
    pieces = _pieces(here, caller.user_id, job_id, lambda box: box.archive())
    return await stream(pieces, f"{job_id}.zip", "application/zip")


async def _pieces(
    here: House, owner: UUID, job_id: UUID, ask: Callable[[workspace.Workspace], AsyncIterator[bytes]]
) -> AsyncIterator[bytes]:
    async with files_box(here.resources, owner, job_id) as box:
        async for piece in ask(box):
            yield piece


async def stream(pieces: AsyncIterator[bytes], name: str, media_type: str) -> Response:
    """Answer with `pieces`. The first one is awaited before the answer begins, so that an error can still be
    answered as one."""
    first = await anext(pieces, b"")

    async def all_pieces() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    disposition = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    return StreamingResponse(
        all_pieces(), media_type=media_type, headers={"Content-Disposition": disposition}
    )
