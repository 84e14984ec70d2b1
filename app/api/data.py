"""Routes of the copies of an app's data."""

from uuid import UUID

from fastapi import APIRouter, Response

from app.actions import app_data
from app.actions.data_copies import read
from app.api.deps import Caller, CopyId, Here, House, JobId, SignedInRoute, json_answer
from app.api.documented import refusals
from app.api.files import WAKING, stream
from app.api.shapes import COMMIT, OTHER_ID, WHEN, Shape, example
from app.domain.copies import Cause
from app.domain.values import Stamp
from app.store import data_copies

router = APIRouter(
    prefix="/api/jobs/{job_id}/data", tags=["7 · Container and files"], route_class=SignedInRoute
)

CHANGING = (
    "job_running",
    "workspace_full",
    "file_not_found",  # the app has deleted the copy while it was made
    "too_large",
    "going_live",
    "unavailable",
    *WAKING,
)


class DataCopy(Shape):
    """A copy of the data of a job's app. `commit` is the one that the app ran, `size` the bytes of the
    archive, `entries` how many files, links and folders it has."""

    model_config = example(
        id=OTHER_ID, cause="going_live", commit=COMMIT, size=20_480, entries=3, created_at=WHEN
    )

    id: UUID
    cause: Cause
    commit: str
    size: int
    entries: int
    created_at: Stamp


@router.get("/", response_model=list[DataCopy], responses=refusals("not_found"))
async def list_data_copies(here: Here, caller: Caller, job_id: JobId) -> Response:
    """The copies of the app's data, newest first. They are made when a continuation begins, before a new
    version goes live, before a copy is put back, and on demand; the last five are kept. When an app
    goes to sleep, changed data are copied, at most once an hour (`sleep`); of these the newest and one a day
    for three days are kept."""
    async with here.reads.open() as statements:
        return json_answer(await data_copies.listed(statements, caller.user_id, job_id))


@router.post("/", status_code=201, response_model=DataCopy, responses=refusals(*CHANGING))
async def copy_data(here: Here, caller: Caller, job_id: JobId) -> Response:
    """Copy the app's data now: what lies in `/app` and neither belongs to the commit nor was installed. The
    app runs on. The copy is what a power cut would leave, from which databases recover."""
    made = await app_data.make(here.resources, here.copying, caller.user_id, job_id)
    return await _shown(here, caller.user_id, made, 201)


@router.get(
    "/{copy_id}/",
    response_class=Response,
    responses={
        200: {"content": {"application/x-tar": {}}, "description": "The archive, streamed."},
        **refusals("not_found"),
    },
)
async def download_data_copy(here: Here, caller: Caller, job_id: JobId, copy_id: CopyId) -> Response:
    """The copy as a `.tar` (pax; files with holes in GNU's sparse format 1.0)."""
    pieces = read(here.resources, caller.user_id, job_id, copy_id)
    return await stream(pieces, f"{copy_id}.tar", "application/x-tar")


@router.post("/{copy_id}/restore/", response_model=DataCopy, responses=refusals("no_app", *CHANGING))
async def restore_data_copy(here: Here, caller: Caller, job_id: JobId, copy_id: CopyId) -> Response:
    """Put a copy back. The answer is the copy of the present data that is made first. The app is held
    meanwhile and starts again if it ran. If anything fails, its data are as before."""
    before = await app_data.restore(here.resources, here.copying, caller.user_id, job_id, copy_id)
    return await _shown(here, caller.user_id, before, 200)


async def _shown(here: House, owner: UUID, copy_id: UUID, status: int) -> Response:
    async with here.reads.open() as statements:
        return json_answer(await data_copies.shown(statements, owner, copy_id), status)
