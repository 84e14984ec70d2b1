"""A first build at which somebody looks: its app follows each ticket, and copies of its data are kept."""

from app.actions.workspaces import app_box
from app.domain.workspace import Manifest
from tests.helpers.boxes import output_of
from tests.helpers.copies import content, copies_of
from tests.helpers.house import House
from tests.helpers.on_bench import built, nothing_more
from workers.pipeline.live.bringing import bring

SERVE = Manifest(start="exec sleep 9")


async def test_copies_of_a_watched_build_leave_room_for_others(house: House) -> None:
    """An entry that a later ticket's version destroys is still in the copy before it."""
    async with built(house) as (context, bench, _, new):
        job_id = context.job_id
        await bring(context, bench, new, SERVE, nothing_more, strict=False)
        for ticket, entry in enumerate(("milk", "milk", "bread", "", "", "")):
            async with app_box(house.resources, house.user_id, job_id) as app:
                await output_of(app, f"mkdir -p data; test '{entry}' || rm -f data/e; touch -d @1 data/e")
                if entry:
                    await output_of(app, f"printf {entry} > data/e; touch -d @1 data/e")
            await bench.save("/app/main.py", f"ticket {ticket}".encode())
            new = await bench.commit(f"Ticket {ticket}", "Builder")
            await bring(context, bench, new, SERVE, nothing_more, strict=False)
        kept = [await content(house, copy, "data/e") for copy in await copies_of(house, job_id)]
        assert kept == ["bread", ""]
