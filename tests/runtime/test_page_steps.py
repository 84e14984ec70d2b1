"""Page checks of several pages, in a real browser inside the box: a login, a dialog, an upload, a narrow
window, and the picture that is left."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from app.domain.ticket import PageCheck
from app.runtime.runtime import Runtime
from app.runtime.workspace import CheckResult, Workspace
from workers.profiles.served import Served

HOME = """<!doctype html><meta name=viewport content="width=device-width"><h1>Notes</h1>
<label>Picture <input type=file id=f></label><p id=said>nothing</p>
<button onclick="said.textContent = confirm('Delete all?') ? 'gone' : 'kept'">Delete</button>
<button onclick="said.textContent = prompt('Your name?')">Rename</button>
<a href="/wide.html">Wide</a>
<script>f.onchange = async () => {
  said.textContent = f.files[0].name + ': ' + await f.files[0].text()
}</script>"""
WIDE = "<!doctype html><h1>Wide</h1><table id=t style='width:900px'><tr><td>Much</table>"
BROKEN = "<!doctype html><h1>Broken</h1><script>nothing.at.all()</script>"
START = "exec python3 -m http.server --bind 127.0.0.1 $PORT"
PHONE = {"width": 390, "height": 700}


@pytest.fixture(scope="module")
async def box(runtime: Runtime) -> AsyncIterator[Workspace]:
    if not await Served().browser(runtime):
        pytest.skip("the box has no browser")
    job = uuid4()
    workspace = await runtime.attach(job, fence=1, create=True)
    for name, text in (("index.html", HOME), ("wide.html", WIDE), ("broken.html", BROKEN)):
        await workspace.save(name, text.encode())
    await workspace.save("boardroom.json", json.dumps({"start": START, "health": "/"}).encode())
    await workspace.commit("Pages", "Builder")
    yield workspace
    await workspace.close()
    await runtime.destroy(job)


async def result_of(box: Workspace, *steps: dict[str, Any], **more: Any) -> CheckResult:
    head = await box.head()
    assert head is not None
    check = {"id": "p", "criterion": 0, "path": "/", "steps": list(steps), **more}
    return await box.check(head.sha, PageCheck.model_validate(check))


CLICK = {"action": "click", "named": "Delete"}
UPLOAD = {"action": "upload", "named": "Picture", "filename": "a.txt", "text": "milk"}


async def test_dialogs_pages_and_uploads(box: Workspace) -> None:
    good = await result_of(
        box,
        CLICK | {"dialog": "accept", "says": "Delete all"},
        {"action": "see", "text": "gone"},
        CLICK | {"dialog": "dismiss"},
        {"action": "see", "text": "kept"},
        {"action": "click", "named": "Rename", "text": "Ada", "dialog": "accept"},
        {"action": "see", "text": "Ada"},
        {"action": "click", "named": "Wide"},
        {"action": "see", "selector": "#t"},
        {"action": "open", "path": "/"},
        UPLOAD,
        expect_text="a.txt: milk",
        expect_no_text="nothing",
        viewport=PHONE,
        expect_clean_console=True,
    )
    assert good.passed, good.output_tail
    assert good.picture.startswith(b"\xff\xd8\xff")
    assert len(good.picture) <= 512 * 1024


@pytest.mark.parametrize(
    ("steps", "more", "said"),
    [
        ([CLICK | {"says": "Really"}], {}, "Step 1 opens a dialog that says 'Delete all?'"),
        ([{"action": "click", "named": "Wide", "dialog": "accept"}], {}, "Step 1 opens no dialog"),
        ([UPLOAD | {"named": "Delete"}], {}, "Step 1 finds nothing to upload"),
        ([{"action": "see", "text": "gone"}], {}, "Step 1 does not see it"),
        ([], {"expect_no_text": "Rename"}, "The page shows: Rename"),
        ([{"action": "open", "path": "/wide.html"}, {"action": "open", "path": "/"}],
         {"expect_no_overflow": True, "viewport": PHONE},
         "Before step 2 the page is too wide: "),
        ([], {"path": "/wide.html", "expect_text": "Wide", "expect_no_overflow": True, "viewport": PHONE},
         "px in a window of 390 px <table#t> Much"),
        ([], {"path": "/broken.html", "expect_text": "Broken", "expect_clean_console": True},
         "The console is not clean.\nconsole: ReferenceError: nothing is not defined"),
    ],
)  # fmt: skip
async def test_what_fails_and_why(
    box: Workspace, steps: list[dict[str, Any]], more: dict[str, Any], said: str
) -> None:
    result = await result_of(box, *steps, **{"expect_text": "Notes", **more})
    assert not result.passed
    assert said in result.output_tail, result.output_tail
    assert "PICTURE" not in result.output_tail
    assert result.picture, "also of a page that is not as it should be"


@pytest.mark.parametrize(
    "step",
    [
        {"action": "open"},
        {"action": "open", "path": "wide.html"},
        {"action": "open", "path": "/", "named": "a"},
        {"action": "see"},
        {"action": "see", "text": "a", "named": "b"},
        {"action": "click", "named": "a", "path": "/"},
        {"action": "click", "named": "a", "filename": "b"},
        {"action": "upload", "named": "a"},
        {"action": "upload", "named": "a", "filename": ".."},
        {"action": "upload", "named": "a", "filename": "../b"},
        {"action": "see", "text": "a", "dialog": "accept"},
    ],
)
def test_steps_that_cannot_be_done(step: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        PageCheck.model_validate(
            {"id": "p", "criterion": 0, "path": "/", "steps": [step], "expect_text": "a"}
        )
