"""Records the README's picture, docs/pictures/demo.svg, from a real run: `make picture`.

It shows what `make demo` prints, without the password and the folder.
"""

import asyncio
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from app.demo.play import play
from app.demo.screen import Screen
from app.demo.service import service

PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "demo.svg"
IDEA = "a reading list for a book club"
COLUMNS = 100
WITHOUT_FONTS = re.sub(r"@font-face \{\{.*?\}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
"""The SVG's template without web fonts, which a viewer would load from another server."""


class Still(Screen):
    """A screen for a still picture: the progress bar is drawn once, at the end."""

    @contextmanager
    def live(self) -> Iterator[None]:
        yield
        self._console.print(self._progress)

    def opening(self, idea: str, job_id: str, email: str, password: str, model: str) -> None:
        super().opening(idea, job_id, email, "…", model)


def main() -> None:
    console = Console(record=True, force_terminal=True, width=COLUMNS, highlight=False)
    with tempfile.TemporaryDirectory() as folder:

        def say(text: str) -> None:
            console.print(text.replace(folder, ".boardroom"), style="dim", soft_wrap=True)

        with service(Path(folder), say) as url:
            job = asyncio.run(play(url, IDEA, Still(console)))
    console.print(f"See the app: [bold].venv/bin/boardroom open {job['id']}[/bold]", soft_wrap=True)
    console.save_svg(str(PICTURE), title=f'make demo IDEA="{IDEA}"', code_format=WITHOUT_FONTS)


if __name__ == "__main__":
    main()
