"""The Builder looks at a page of its app: its text, what is too wide, what the console says."""

import orjson

from app.runtime.workspace import Workspace
from tests.helpers.house import House
from tests.helpers.tools import use
from workers.profiles.served import Served

PAGE = "<!doctype html><h1>Shelf</h1><p id=p style='width:500px'>Much</p><script>no.such()</script>"
MANIFEST = {"start": "exec python3 -m http.server --bind 127.0.0.1 $PORT 2>/dev/null", "health": "/"}


async def test_a_page_is_looked_at(house: House, box: Workspace) -> None:
    assert (await use(box, "look", path="/")).startswith("error: nothing to look at")
    await use(box, "write_file", path="index.html", content=PAGE)
    await use(box, "write_file", path="boardroom.json", content=orjson.dumps(MANIFEST).decode())
    assert (await use(box, "start_app")).startswith("answering")
    said = await use(box, "look", path="/")
    if not await Served().browser(house.resources.runtime):
        assert said == "error: there is no browser in this box"
        return
    first, second, *text = said.split("\n")
    assert first.startswith("too wide: ")
    assert first.endswith("px in a window of 390 px <p#p> Much")
    assert second.startswith("console: ReferenceError: no is not defined")
    assert [line for line in text if line] == ["Shelf", "Much"]
    assert (await use(box, "look", path="/", width=1200)).startswith(
        "nothing sticks out at the side\nconsole"
    )
    for odd in ({"path": "x"}, {"path": "/", "width": 10}, {"path": "/", "width": 9000}):
        assert (await use(box, "look", **odd)).startswith("error: ")
