"""A worker process beside a web process of a test."""

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.helpers.processes import ROOT
from tests.helpers.service import SECRET, Service


@asynccontextmanager
async def worker_process(service: Service, **environment: str) -> AsyncIterator[Process]:
    """`python -m workers.main` with the databases, the folder and the kind of boxes of `service`. What it
    logs is in the file `worker.log` of that folder."""
    settings = service.application.settings
    of_service = {
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "DATA_DIR": str(settings.data_dir),
        "WORKSPACE_RUNTIME": settings.workspace_runtime,
        "SECRET_KEY": SECRET,
    }
    settings.data_dir.mkdir(exist_ok=True)
    with (settings.data_dir / "worker.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "workers.main"),
            cwd=ROOT,
            env={**os.environ, **of_service, **environment},
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
