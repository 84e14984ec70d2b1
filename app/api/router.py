"""All doors, in the order of the guide."""

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

DOORS: tuple[APIRouter, ...] = (
    auth.router,
    jobs.once,
    jobs.router,
    runs.once,
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
