"""Page checks use a real browser inside the box. In a box without one they report that nothing was
checked."""

import json

from app.domain.ticket import PageCheck
from app.domain.workspace import MANIFEST
from app.runtime.runtime import Runtime
from app.runtime.workspace import Workspace
from workers.profiles.served import Served

PAGE = """<!doctype html><title>Shelf</title><h1>Shelf</h1><ul></ul>
<label>Title <input name="title"></label>
<select name="kind"><option value="n">Novel<option value="p">Play</select>
<button>Add</button><script>
document.querySelector("button").onclick = () => setTimeout(() => {
  const fields = [...document.querySelectorAll("input, select")].map((field) => field.value)
  document.querySelector("ul").innerText = fields.join("/")
}, 100)
</script>"""
START = "exec python3 -m http.server --bind 127.0.0.1 $PORT"


def page(expected: str) -> PageCheck:
    return PageCheck.model_validate(
        {
            "id": "c",
            "criterion": 0,
            "path": "/page.html",
            "steps": [
                {"action": "fill", "named": "Title", "text": "Emma & <b>"},
                {"action": "fill", "selector": "select", "text": "Play"},
                {"action": "click", "named": "Add"},
            ],
            "expect_text": expected,
        }
    )


async def test_a_page_is_used(runtime: Runtime, workspace: Workspace) -> None:
    await workspace.save("/app/page.html", PAGE.encode())
    await workspace.save(MANIFEST, json.dumps({"start": START}).encode())
    commit = await workspace.commit("A page", "Builder")
    good = await workspace.check(commit.sha, page("Emma & <b>/p"))
    if not await Served().browser(runtime):
        assert (good.passed, good.checked) == (False, False), good
        return
    assert (good.passed, good.checked) == (True, True), good
    wrong = await workspace.check(commit.sha, page("Persuasion"))
    assert (wrong.passed, wrong.checked) == (False, True), wrong
    assert "Emma & <b>/p" in wrong.output_tail, "it tells what the page showed"
    left = await workspace.run("grep -slaz '[c]hromium' /proc/[0-9]*/cmdline | wc -l", timeout_s=20)
    assert left.output.strip() == "0", "nothing of it is left"
