"""Routes of a job's container."""

from fastapi import APIRouter, Request, Response

from app.actions.previews import look
from app.actions.workspaces import start_container, stop_container
from app.api.deps import Caller, Here, JobId, SignedInRoute, shape_answer
from app.api.documented import refusals
from app.api.shapes import WHEN, Shape, example
from app.domain.values import Stamp
from app.domain.workspace import BoxState

router = APIRouter(
    prefix="/api/jobs/{job_id}/containers", tags=["7 · Container and files"], route_class=SignedInRoute
)


class Detail(Shape):
    model_config = example(detail="Job container is running.")

    detail: str


class Container(Shape):
    """`preview_url` is null while no app answers; see `POST /api/jobs/{job_id}/preview/`. `problem` says why
    a container ended that nobody stopped, such as `The container ran out of memory.`"""

    model_config = example(
        state="running",
        image=None,
        started_at=WHEN,
        memory_bytes=41_943_040,
        cpu_percent=0.4,
        problem="",
        preview_url="http://mzxw6ytboi4tqmbrgiztinjwg44dsmbr.localhost:8000",
    )

    state: BoxState
    image: str | None
    started_at: Stamp | None
    memory_bytes: int | None
    cpu_percent: float | None
    problem: str
    preview_url: str | None


@router.post(
    "/start",
    response_model=Detail,
    responses=refusals("not_found", "container_not_found", "engine_down", "containers_busy", "going_live"),
)
async def container_start(here: Here, caller: Caller, job_id: JobId) -> Response:
    """Wake the container and start the app in it. An app that died is started again."""
    await start_container(here.resources, caller.user_id, job_id)
    return shape_answer(Detail(detail="Job container is running."))


@router.post(
    "/stop",
    response_model=Detail,
    responses=refusals("not_found", "container_not_found", "job_running", "engine_down"),
)
async def container_stop(here: Here, caller: Caller, job_id: JobId) -> Response:
    """Stop the container. Its files stay. After that only `containers/start` or a new run wakes it."""
    await stop_container(here.resources, caller.user_id, job_id)
    return shape_answer(Detail(detail="Job container stopped."))


@router.get("/status", response_model=Container, responses=refusals("not_found", "engine_down"))
async def container_state(request: Request, here: Here, caller: Caller, job_id: JobId) -> Response:
    """The state of the container and the address of its app. This call wakes nothing."""
    box, offer = await look(here.resources, here.tokens, caller, job_id)
    address = offer and here.previews.url_for(offer.token, request.headers.get("host", ""))
    return shape_answer(
        Container(
            state=box.state,
            image=box.image,
            started_at=box.started_at,
            memory_bytes=box.memory_bytes,
            cpu_percent=box.cpu_percent,
            problem=box.problem,
            preview_url=address,
        )
    )
