"""The scaffold of each profile starts, answers and passes its own checks, in every box that can run it."""

from uuid import UUID

from app.runtime.runtime import Runtime
from app.runtime.workspace import Workspace
from workers.profiles.catalogue import PROFILES
from workers.profiles.served import Served

EMPTIED = "find . -mindepth 1 -maxdepth 1 ! -name .git -exec rm -rf {} +"
ANYWHERE = {"python-stdlib", "static"}


async def test_scaffolds(runtime: Runtime, job: UUID, workspace: Workspace) -> None:
    before = await runtime.boxes()
    served = await Served().profiles(runtime)
    assert await runtime.boxes() == before, "looking leaves no box"
    names = {profile.name for profile in served}
    assert names >= (set(PROFILES) if runtime.kind == "docker" else ANYWHERE)
    for profile in served:
        await workspace.run(EMPTIED, timeout_s=20)
        for path, content in profile.scaffold.items():
            await workspace.save(f"/app/{path}", content)
        commit = await workspace.commit(f"Begin {profile.name}", "Builder")
        for check in profile.checks:
            result = await workspace.check(commit.sha, check.as_check())
            assert result.passed, (profile.name, check.name, result.output_tail)
        app = await workspace.start_app(profile.manifest)
        assert app.answering, (profile.name, app.log_tail)
        answer = await workspace.request("GET", "/")
        assert answer.status == 200, profile.name
        await workspace.stop_app()
