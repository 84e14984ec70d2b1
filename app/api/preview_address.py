"""The route that gives out the preview address of a job's app, which is on an origin of its own."""

from fastapi import APIRouter, Request, Response

from app.actions.previews import start_preview
from app.api.deps import Caller, Here, JobId, SignedInRoute, shape_answer
from app.api.documented import refusals
from app.api.shapes import Shape, example

router = APIRouter(
    prefix="/api/jobs/{job_id}/preview", tags=["7 · Container and files"], route_class=SignedInRoute
)


class Previewed(Shape):
    """`expires_in` is in seconds."""

    model_config = example(url="http://mzxw6ytboi4tqmbrgiztinjwg44dsmbr.localhost:8000", expires_in=43_200)

    url: str
    expires_in: int


@router.post(
    "/",
    summary="Open a preview",
    response_model=Previewed,
    responses=refusals(
        "not_found",
        "container_not_found",
        "container_stopped",
        "no_app",
        "engine_down",
        "containers_busy",
        "going_live",
    ),
)
async def preview(request: Request, here: Here, caller: Caller, job_id: JobId) -> Response:
    """Start the app if it does not run, and get an address for a browser. The address works in a frame and
    without a login: everybody who knows it can use the app. It is valid for 12 hours, and no longer than
    this session and this start of the app; after a new start ask for a new address."""
    offer = await start_preview(here.resources, here.tokens, caller, job_id)
    url = here.previews.url_for(offer.token, request.headers.get("host", ""))
    return shape_answer(Previewed(url=url, expires_in=offer.expires_in))
