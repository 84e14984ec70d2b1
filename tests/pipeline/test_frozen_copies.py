"""Copies of the data of apps whose container was frozen, which keep running where they stood."""

from dataclasses import replace
from uuid import uuid4

from app.actions.sleeping import copy_sleeping
from app.actions.workspaces import start_app
from app.domain.copies import COPY_BYTES
from app.domain.workspace import Manifest
from tests.helpers.boxes import docker_boxes, docker_runtime, output_of, proxy, reasons
from tests.helpers.copies import an_hour_passes, content, copies_of
from tests.helpers.house import House
from tests.helpers.waiting import until

__all__ = ["docker_boxes", "proxy", "reasons"]


async def test_a_frozen_app_is_copied_each_time_it_was_used(house: House, docker_boxes: None) -> None:
    docker = docker_runtime(f"test-{uuid4().hex[:12]}", rest_s=2)
    resources = replace(house.resources, runtime=docker)
    job_id = await house.create()

    async def tidied_asleep() -> bool:
        """What a worker does once a minute."""
        made.append(await copy_sleeping(resources, COPY_BYTES))
        await docker.rest()
        return (await docker.status(job_id)).state == "asleep"

    made = list[int]()
    try:
        box = await docker.attach(job_id, create=True)
        manifest = Manifest(start="exec python3 -m http.server -b 127.0.0.1 $PORT", health="/boardroom.json")
        await box.save("/app/boardroom.json", manifest.model_dump_json().encode())
        started = await start_app(resources, box, job_id)
        assert started is not None
        await output_of(box, "mkdir data; printf 'milk;' > data/entries")
        for entries in ("milk;", "milk;bread;"):
            await until(tidied_asleep)
            await an_hour_passes(resources)
            await tidied_asleep()
            assert sum(made) == 1
            made.clear()
            for _ in range(3):
                await an_hour_passes(resources)
                assert await tidied_asleep(), "it is frozen again"
            assert sum(made) == 0, "what was not used since is not copied again"
            [copy] = await copies_of(house, job_id)
            assert await content(house, copy, "data/entries") == entries
            await box.close()
            box = await docker.attach(job_id)  # which thaws it
            await output_of(box, "printf 'bread;' >> data/entries")
        assert (await box.app_status()).began == started.began, "it is the app that was frozen"
        await box.close()
    finally:
        await docker.destroy(job_id)
        await docker.close()
