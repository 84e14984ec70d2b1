"""The models that must be survived, played one after the other: how each job ended, after how many requests.

python -m bench.bad_models     (about a minute; no key, no network)
"""

import asyncio
import tempfile
from pathlib import Path

from tests.helpers.bad_models import BUILDERS, ON_THE_WIRE, WEAKENERS, Case, Ending, play
from tests.helpers.house import open_house
from tests.helpers.model_server import open_server
from tests.helpers.parts import Parts, fresh_database, open_parts


async def main(parts: Parts, boxes: Path) -> int:
    """The number of jobs that ended otherwise than they should."""
    wrong, lies = 0, 0
    cases = ON_THE_WIRE | BUILDERS | WEAKENERS
    print("| the model or its server | ended | requests | seconds |\n| --- | --- | --- | --- |")
    async with (
        fresh_database(parts) as database_url,
        open_house(database_url, parts.redis_url, boxes) as house,
        open_server() as server,
    ):
        for name, case in cases.items():
            (ending,) = (await play(house, server, {name: case}, slots=1)).values()
            print(f"| {name} | `{ending.how}` | {len(ending.asked)} | {ending.seconds:.1f} |", flush=True)
            wrong += ending.how != case.ends
            lies += _is_a_lie(case, ending)
    print(f"\n{len(cases)} models. Ended otherwise than they should: {wrong}. False “done”: {lies}.")
    return wrong + lies


def _is_a_lie(case: Case, ending: Ending) -> bool:
    return ending.job.status == "build_done" and case.ends != "verified"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, open_parts(Path(folder) / "stack") as opened:
        raise SystemExit(1 if asyncio.run(main(opened, Path(folder) / "boxes")) else 0)
