"""Records docs/pictures/model-check.svg: `boardroom model check` in eight vendors' wires, at servers of ours,
and against the real llama.cpp, the versions in folders of $LLAMAS and the newest: `make picture-check`.
"""

import asyncio
import logging
import re
from pathlib import Path

import pytest
import structlog
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from app.settings import Settings
from tests.helpers.able import NAMES, served
from tests.llm.tiny_server import NEWEST, OLDER, llama
from workers.model_check import check, show

PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "model-check.svg"
COLUMNS = 120
VENDORS = [kind for kind in NAMES if kind != "ollama"]
WITHOUT_FONTS = re.sub(r"@font-face \{\{.*?\}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
"""The SVG's template without web fonts, which a viewer would load from another server."""


async def record(console: Console) -> None:
    for kind in VENDORS:
        with pytest.MonkeyPatch.context() as patch:
            async with served(kind, patch) as settings:
                show(console, settings.model, await check(settings))
    for version in (*OLDER, NEWEST):
        async with llama(version) as url:
            settings = Settings(_env_file=None, model="openai:smollm2", openai_base_url=url)
            show(console, f"openai:smollm2, llama.cpp ({version})", await check(settings))


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    console = Console(record=True, force_terminal=True, width=COLUMNS, highlight=False)
    asyncio.run(record(console))
    console.save_svg(str(PICTURE), title="boardroom model check", code_format=WITHOUT_FONTS)


if __name__ == "__main__":
    main()
