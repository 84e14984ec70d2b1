"""All routers, in the order in which `/docs` shows them."""

from fastapi import APIRouter

from app.api import (
    apps,
    auth,
    budgets,
    containers,
    data,
    files,
    jobs,
    messages,
    operations,
    preview_address,
    runs,
    tickets,
    traces,
)
from app.api.sockets import door

ROUTERS: tuple[APIRouter, ...] = (
    auth.router,
    jobs.keyed_router,
    jobs.router,
    runs.keyed_router,
    runs.router,
    budgets.router,
    messages.router,
    apps.router,
    tickets.router,
    traces.router,
    containers.router,
    preview_address.router,
    files.router,
    data.router,
    operations.router,
    door.router,
)
