"""A model of known delay behind a real HTTP server, in a process of its own: its work is not the worker's.

python -m bench.model_server DELAY_S     prints its address and answers until it is stopped
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.service import program
from tests.helpers.company import DONE, company
from tests.helpers.model_server import Exchange, open_server, refuses
from tests.helpers.wire_company import plays

KEY = "sk-bench"


async def main(delay_s: float) -> None:
    """A company that talks until there is a PRD, and then refuses: a thousand boxes are not the question."""
    good = plays(company(intake=lambda _: DONE), {"ticketing": refuses(400, "enough for a measurement")})

    async def slowly(exchange: Exchange) -> None:
        await asyncio.sleep(delay_s)
        await good(exchange)

    async with open_server() as server:
        server.scripts[KEY] = [slowly]
        print(server.url, flush=True)
        await asyncio.Event().wait()


def settings_for(url: str) -> dict[str, str]:
    """Of a service whose model this is."""
    return {
        "MODEL": "openai:tiny",
        "OPENAI_BASE_URL": url,
        "OPENAI_API_KEY": KEY,
        "MODEL_FIRST_TOKEN_TIMEOUT": "500",
    }


@asynccontextmanager
async def model_server(delay_s: float) -> AsyncIterator[str]:
    """Its address."""
    async with program("-m", "bench.model_server", str(delay_s), says=r"(http\S+)") as (_, url):
        yield url


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
