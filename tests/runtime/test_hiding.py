"""Files that would be imported instead of modules of others are found, on every kind of box."""

import json
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from app.runtime.guest.hiding import module_of
from app.runtime.runtime import Runtime
from app.runtime.workspace import Commit, Workspace

SITE = ".venv/lib/python3.11/site-packages"
BEFORE = {
    "boardroom.json": json.dumps({"start": "python3 server.py"}),
    "server.py": "import statistics",
    "statistics.py": "MEAN = 1",
    "tests/__init__.py": "",
    "tests/test_it.py": "",
}


@pytest.fixture(scope="module")
async def box(runtime: Runtime) -> AsyncIterator[Workspace]:
    job = uuid4()
    workspace = await runtime.attach(job, fence=1, create=True)
    yield workspace
    await workspace.close()
    await runtime.destroy(job)


async def commit(box: Workspace, files: dict[str, str]) -> Commit:
    await box.run("find . -mindepth 1 -maxdepth 1 ! -name .git -exec rm -rf {} +", timeout_s=20)
    for path, content in files.items():
        await box.save(path, content.encode())
    return await box.commit("Files", "Builder")


async def hidden(box: Workspace, files: dict[str, str], *, installed: bool = False) -> dict[str, str]:
    """The sentences about a commit that adds `files`, by path."""
    base = await commit(box, BEFORE)
    made = await commit(box, BEFORE | files)
    return {item.path: item.sentence for item in await box.hidden(base, made, installed=installed)}


@pytest.mark.parametrize(
    "path",
    [
        "unittest.py",
        "traceback/__init__.py",
        "difflib.cpython-311-x86_64-linux-gnu.so",
        "signal/__init__.abi3.so",
        "tests/random.py",
        "src/json.py",
        "src/deep/tests/argparse.py",
        "sitecustomize.py",
    ],
)
async def test_a_module_of_pythons_own_is_not_hidden(box: Workspace, path: str) -> None:
    found = await hidden(box, {path: ""})
    assert list(found) == [path]
    assert "Python's own module" in found[path]


@pytest.mark.parametrize(
    "files",
    [
        {"server.py": "import statistics, os", "statistics.py": "MEAN = 2"},
        {"shop/__init__.py": "", "shop/calendar.py": ""},
        {"html/index.html": "", "types/index.ts": "", "email/letter.txt": ""},
        {"calendar/entries.py": ""},
        {"test/__init__.py": "", "test/test_more.py": ""},
        {"shop.py": "", "my_json.py": ""},
    ],
)
async def test_an_honest_app_is_let_alone(box: Workspace, files: dict[str, str]) -> None:
    """A file that was there before, modules in a package, folders that hold no module or are no package:
    those hide nothing."""
    assert await hidden(box, files) == {}


@pytest.mark.parametrize("path", ["node_modules/vitest/index.js", f"{SITE}/pytest/__init__.py"])
async def test_packages_are_installed_and_not_committed(box: Workspace, path: str) -> None:
    found = await hidden(box, {".gitignore": "!node_modules/\n!.venv/\n", path: ""})
    assert list(found) == [path]
    assert "The install step makes these" in found[path]


def installing(*lines: str) -> dict[str, str]:
    """A manifest whose install step does this."""
    line = " && ".join(lines)
    return {"boardroom.json": json.dumps({"start": "python3 server.py", "install": line})}


SHOP = {"shop/__init__.py": "A = 1", "shop/cart.py": ""}
INSTALL_SHOP = (f"mkdir -p {SITE}", f"cp -r shop {SITE}")
INSTALL_CHECKERS = (f"mkdir -p {SITE}/checkers", f"echo 1 > {SITE}/checkers/__init__.py")
INSTALL_SPACED = (f"mkdir -p {SITE}/spaced", f"touch {SITE}/spaced/one.py")
LINKED = ("mkdir -p node_modules/@app", "ln -s ../../parts node_modules/@app/parts")
CHECKED = [
    ({"checkers.py": ""}, INSTALL_CHECKERS, ["checkers.py"]),
    ({"tests/checkers/__init__.py": ""}, INSTALL_CHECKERS, ["tests/checkers/__init__.py"]),
    ({"spaced/one.py": "A = 1"}, INSTALL_SPACED, ["spaced/one.py"]),
    ({"spaced/two.py": "A = 1"}, INSTALL_SPACED, []),
    (SHOP, INSTALL_SHOP, []),
    (SHOP, (*INSTALL_SHOP, f"echo 2 > {SITE}/shop/cart.py"), ["shop/__init__.py"]),
    ({"tests/package.json": '{"name": "vitest"}'}, ("mkdir -p node_modules/vitest",), ["tests/package.json"]),
    ({"parts/package.json": '{"name": "@app/parts"}'}, LINKED, []),
    ({}, ("touch unittest.py",), ["unittest.py"]),
    ({}, ("false",), []),
]


@pytest.mark.parametrize(("files", "lines", "paths"), CHECKED)
async def test_what_is_installed_is_not_hidden(
    box: Workspace, files: dict[str, str], lines: tuple[str, ...], paths: list[str]
) -> None:
    """A package of the app's own that is installed, too, is not hidden by itself."""
    manifest = installing(*lines)
    assert await hidden(box, manifest | files) == {}, "nothing is installed yet"
    assert sorted(await hidden(box, manifest | files, installed=True)) == paths


@pytest.mark.parametrize(
    ("file", "module"),
    [
        ("a.py", "a"),
        ("a.pyc", "a"),
        ("a.so", "a"),
        ("a.abi3.so", "a"),
        ("a.b.py", ""),
        ("a.txt", ""),
        ("a", ""),
    ],
)
def test_which_files_are_modules(file: str, module: str) -> None:
    assert module_of(file) == module
