"""What was compiled or cached of other sources is not loaded, on every kind of box."""

import json
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from app.domain.ticket import CommandCheck
from app.domain.workspace import Manifest
from app.runtime.runtime import Runtime
from app.runtime.workspace import Commit, Workspace
from tests.helpers.boxes import output_of

SERVER = """\
import http.server, os, greeting
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(greeting.WORD.encode())
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
MANIFEST = Manifest(start="exec python3 server.py")
COMPILE = """\
import importlib.util, os, py_compile, sys
open("/tmp/other.py", "w").write("WORD = 'somebody else'")
py_compile.compile(
    "/tmp/other.py", sys.argv[1] or importlib.util.cache_from_source("greeting.py"), doraise=True,
    invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
)
"""
SAY = "python3 -c 'import greeting; print(greeting.WORD)'"


@pytest.fixture(scope="module")
async def box(runtime: Runtime) -> AsyncIterator[Workspace]:
    job = uuid4()
    workspace = await runtime.attach(job, fence=1, create=True)
    yield workspace
    await workspace.close()
    await runtime.destroy(job)


@pytest.fixture
async def app(box: Workspace) -> Commit:
    """The app as it is committed, and compiled files of other sources beside it."""
    await box.run("find . -mindepth 1 -maxdepth 1 ! -name .git -exec rm -rf {} +", timeout_s=20)
    await box.save("server.py", SERVER.encode())
    await box.save("greeting.py", b"WORD = 'hello'")
    await box.save(".gitignore", b"data/\n")
    await box.save("boardroom.json", json.dumps(MANIFEST.model_dump()).encode())
    return await box.commit("App", "Builder")


async def compile_another(box: Workspace, to: str = "") -> None:
    """Compile another module, by default to where Python looks for the compiled `greeting`."""
    await box.save("compile.py", COMPILE.encode())
    said = await box.run(f"python3 compile.py '{to}' && rm compile.py", timeout_s=20)
    assert said.exit_code == 0, said.output


async def test_a_restore_leaves_nothing_compiled_of_other_sources(box: Workspace, app: Commit) -> None:
    await compile_another(box)
    assert await output_of(box, SAY) == "somebody else", "that is what Python does"
    await compile_another(box, "ghost.pyc")
    await box.run("mkdir -p data && echo entry > data/list && echo rows > app.db", timeout_s=20)
    await box.restore(app.tree)
    assert await output_of(box, SAY) == "hello"
    assert "No module named 'ghost'" in (await box.run("python3 -c 'import ghost'", timeout_s=20)).output
    assert (await output_of(box, "cat data/list app.db")) == "entry\nrows", "what is no cache stays"


async def test_an_app_starts_from_its_sources(box: Workspace, app: Commit) -> None:
    await compile_another(box)
    await box.stop_app()
    assert (await box.start_app(MANIFEST)).answering
    assert (await box.request("GET", "/")).body == "hello"
    await box.stop_app()


async def test_a_link_in_the_place_of_a_cache_is_not_followed(box: Workspace, app: Commit) -> None:
    await box.run("mkdir -p data && echo entry > data/list && ln -s data __pycache__", timeout_s=20)
    await box.run("mkdir -p .cache/a/b && ln -s ../../../data .cache/a/b/there", timeout_s=20)
    await box.restore(app.tree)
    assert (
        await output_of(box, "ls -A; cat data/list")
        == ".git\n.gitignore\nboardroom.json\ndata\ngreeting.py\nserver.py\nentry"
    )


async def test_compiled_files_are_not_recorded(box: Workspace, app: Commit) -> None:
    await box.save(".gitignore", b"!__pycache__/\n!*.pyc\n")
    await compile_another(box)
    made = await box.commit("With a compiled file", "Builder")
    assert await output_of(box, f"git ls-tree -r --name-only {made.sha}") == (
        ".gitignore\nboardroom.json\ngreeting.py\nserver.py"
    )


async def test_a_check_loads_no_compiled_file_of_its_commit(box: Workspace, app: Commit) -> None:
    """Commits of earlier versions, and those that a job's own git has made, may contain some."""
    await compile_another(box)
    own = "git -c user.name=a -c user.email=a@a.invalid"
    said = await box.run(f"{own} add -Af . && {own} commit -qm compiled", timeout_s=20)
    assert said.exit_code == 0, said.output
    made = await box.head()
    assert made is not None
    check = CommandCheck(id="c", criterion=0, run=SAY, expect_output="hello")
    result = await box.check(made.sha, check)
    assert result.passed, result.output_tail


async def test_what_the_install_step_made_is_made_again_if_it_was_a_cache(
    box: Workspace, app: Commit
) -> None:
    install = "mkdir -p .next && echo built > .next/page"
    installing = MANIFEST.model_copy(update={"install": install})
    await box.stop_app()
    assert (await box.start_app(installing)).answering
    await box.run("echo changed > .next/page", timeout_s=20)
    await box.restore(app.tree)
    await box.stop_app()
    assert (await box.start_app(installing)).answering
    assert await output_of(box, "cat .next/page") == "built"
    await box.stop_app()
