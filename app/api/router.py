"""All routers, in the order in which `/docs` shows them."""

from fastapi import APIRouter

from app.api import (
    apps,
    auth,
    budgets,
    containers,
    files,
    jobs,
    messages,
    operations,
    preview,
    runs,
    sockets,
    tickets,
    traces,
)

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
    preview.router,
    files.router,
    operations.router,
    sockets.router,
)
