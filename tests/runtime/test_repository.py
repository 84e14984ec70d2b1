"""Recorded trees and commits of a workspace, on every kind of box."""

import re
from uuid import UUID

import pytest

from app.domain.errors import TooLarge
from app.runtime import attachment
from app.runtime.runtime import Runtime
from app.runtime.workspace import RuntimeProblem, Workspace
from tests.helpers.boxes import output_of


async def test_commits_are_made_of_changes_only(workspace: Workspace) -> None:
    assert await workspace.head() is None
    empty = await workspace.commit("Nothing yet", "Builder")
    assert await workspace.head() == empty
    await workspace.save("a.txt", b"1")
    first = await workspace.commit("Add a", "Project Manager")
    assert first == await workspace.commit("Again", "Builder") == await workspace.head()
    assert re.fullmatch("[0-9a-f]{40}", first.sha)
    assert first.tree != empty.tree
    shown = await workspace.diff(empty.tree, first.sha, 1000)
    assert "+++ b/a.txt" in shown
    assert "+1" in shown
    assert await workspace.diff(empty.tree, first.sha, 10) == shown[:10]
    assert await output_of(workspace, "git log -1 --format='%an <%ae> %cn %s'; git status --short") == (
        "Project Manager <projectmanager@boardroom.invalid> Boardroom Add a"
    )


async def test_a_checkpoint_is_restored_exactly(workspace: Workspace) -> None:
    await output_of(
        workspace,
        "mkdir -p d/e && printf 1 > d/e/kept && printf 1 > removed && printf 1 > run.sh && chmod +x run.sh",
    )
    tree = await workspace.checkpoint("r1", "s1")
    assert await workspace.checkpoint("r1", "s2") == tree
    before = await output_of(
        workspace, "git ls-tree -r HEAD 2>/dev/null; find . -path ./.git -prune -o -type f -print | sort"
    )
    await output_of(
        workspace,
        "rm removed && printf 2 > d/e/kept && printf 2 > new && chmod -x run.sh && mkdir x && touch x/y",
    )
    await workspace.restore(tree)
    assert await output_of(workspace, "find . -path ./.git -prune -o -type f -print | sort") == before
    assert await output_of(
        workspace, "cat d/e/kept; test -x run.sh; git for-each-ref --format='%(refname)'"
    ) == ("1refs/boardroom/r1/s1\nrefs/boardroom/r1/s2")
    assert await workspace.head() is None


async def test_the_apps_data_is_neither_recorded_nor_lost(workspace: Workspace) -> None:
    await output_of(
        workspace, "touch app.py && mkdir -p node_modules/m __pycache__ && touch node_modules/m/x"
    )
    tree = await workspace.checkpoint("r", "1")
    await output_of(
        workspace, "printf rows > data.db && printf w > data.db-wal && touch __pycache__/a.pyc later.py"
    )
    commit = await workspace.commit("More", "Builder")
    assert await output_of(workspace, f"git ls-tree -r --name-only {commit.sha}") == "app.py\nlater.py"
    await workspace.restore(tree)
    assert await output_of(workspace, "cat data.db; ls") == "rowsapp.py\ndata.db\ndata.db-wal\nnode_modules"


async def test_a_gitignore_that_came_later_hides_nothing_from_a_restore(workspace: Workspace) -> None:
    await workspace.save("a", b"1")
    tree = await workspace.checkpoint("r", "1")
    await output_of(workspace, "echo 'hidden*' > .gitignore && touch hidden.txt")
    assert await workspace.checkpoint("r", "2") != tree
    await workspace.restore(tree)
    assert await workspace.checkpoint("r", "3") == tree


async def test_locks_that_a_killed_git_has_left_are_removed(workspace: Workspace) -> None:
    await workspace.save("a", b"1")
    await workspace.commit("One", "Builder")
    await workspace.save("a", b"2")
    locks = "index boardroom.index HEAD refs/heads/main packed-refs refs/boardroom/r/1"
    await output_of(
        workspace, f"mkdir -p .git/refs/boardroom/r; for l in {locks}; do touch .git/$l.lock; done"
    )
    tree = await workspace.checkpoint("r", "1")
    assert (await workspace.commit("Two", "Builder")).tree == tree
    assert await output_of(workspace, "git log --format=%s") == "Two\nOne"


async def test_a_damaged_repository_can_still_be_used(workspace: Workspace) -> None:
    await workspace.save("a", b"1")
    first = await workspace.commit("One", "Builder")
    await output_of(
        workspace,
        "mkdir -p .git/hooks && printf '#!/bin/sh\\ntouch /app/hooked' | tee .git/hooks/post-index-change"
        " > .git/hooks/reference-transaction && chmod +x .git/hooks/*"
        " && git config core.fsmonitor 'touch /app/watched; false'"
        " && touch .git/index.lock .git/boardroom.index.lock"
        " && git init -q inner && touch inner/x && git init -q other && touch other/y"
        " && git -C other -c user.name=a -c user.email=b add y"
        " && git -C other -c user.name=a -c user.email=b commit -qm x",
    )
    second = await workspace.commit("Two", "Builder")
    assert await output_of(workspace, f"git ls-tree -r --name-only {second.sha}") == "a\ninner/x\nother/y"
    assert await output_of(workspace, f"git rev-parse {second.sha}^") == first.sha
    await output_of(workspace, "rm -rf .git")
    assert await workspace.head() is None
    assert (await workspace.commit("Anew", "Builder")).tree == second.tree
    with pytest.raises(RuntimeProblem):
        await workspace.restore("0" * 40)
    for run, step in (("a/b", "1"), ("..", "1"), ("a", "-x"), ("", "1")):
        with pytest.raises(ValueError, match="checkpoint"):
            await workspace.checkpoint(run, step)


async def test_a_clients_change_is_committed_as_theirs(runtime: Runtime, job: UUID) -> None:
    """It is committed after the answer; the next call that uses git sees the commit."""
    api = await runtime.attach(job, create=True)
    await api.save("a.txt", b"1")
    worker = await runtime.attach(job, fence=1)
    assert await output_of(worker, "git log --format='%an: %s'; git status --short") == "Client: Save a.txt"
    await worker.close()
    await api.save("b.txt", b"2")
    await api.delete("a.txt")
    head = await api.head()
    assert head is not None
    assert await output_of(
        api, "git log --format='%an'; git ls-tree --name-only HEAD; git status --short"
    ) in (
        "Client\nClient\nb.txt",
        "Client\nClient\nClient\nb.txt",
    )
    await api.close()


async def test_a_bundle_carries_everything_into_a_new_box(runtime: Runtime, job: UUID) -> None:
    first = await runtime.attach(job, fence=1, create=True)
    assert await first.bundle() == b""
    await first.save("kept/a", b"1")
    kept = await first.commit("One", "Builder")
    await first.save("kept/a", b"2")
    recorded = await first.checkpoint("run", "1")
    bundle = await first.bundle()
    await first.close()
    await runtime.destroy(job)
    second = await runtime.attach(job, fence=2, create=True)
    await second.unbundle(bundle)
    assert (await second.read("kept/a")).content == b"1"
    assert await second.head() == kept
    await second.restore(recorded)
    assert (await second.read("kept/a")).content == b"2"
    await second.unbundle(bundle)
    assert (await second.read("kept/a")).content == b"2", "a box with a commit is left alone"
    with pytest.raises(RuntimeProblem, match="no bundle"):
        await second.unbundle(b"x" * 100_000)
    await second.close()


async def test_a_bundle_that_is_too_large_is_refused(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    await output_of(workspace, "head -c 100000 /dev/urandom > large")
    kept = await workspace.commit("One", "Builder")
    monkeypatch.setattr(attachment, "MAX_BUNDLE_BYTES", 50_000)
    with pytest.raises(TooLarge, match=r"repository .* MiB"):
        await workspace.bundle()
    assert await workspace.head() == kept
    assert await output_of(workspace, "find .git -name 'bundle*'") == ""


async def test_a_file_that_nobody_may_read_is_left_out(workspace: Workspace) -> None:
    await workspace.save("/app/main.py", b"code")
    await output_of(
        workspace, "echo secret > closed; chmod 000 closed; mkdir away; touch away/x; chmod 000 away"
    )
    await workspace.commit("Begin", "Builder")
    assert await output_of(workspace, "git ls-tree -r --name-only HEAD") == "main.py"
    await output_of(workspace, "chmod 700 closed away")
    await workspace.commit("Open", "Builder")
    assert await output_of(workspace, "git ls-tree -r --name-only HEAD") == "away/x\nclosed\nmain.py"
