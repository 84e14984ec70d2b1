"""Every agent is told when the app's box has a network, by the setting and the kind of box."""

from pathlib import Path

import pytest

from app.bootstrap import open_runtime
from app.domain.workspace import NetworkMode
from app.settings import Settings
from tests.helpers.company import DONE, company
from tests.helpers.house import House
from workers.agents.network import TOLD
from workers.agents.roles import ROLES
from workers.agents.tools import TOOLS
from workers.llm.scripted import ScriptedModel
from workers.profiles.catalogue import INSTALLS, PROFILES


@pytest.mark.may_block
@pytest.mark.parametrize("mode", TOLD)
async def test_the_setting_is_that_of_containers_and_local_boxes_have_none(
    mode: NetworkMode, tmp_path: Path
) -> None:
    for kind, there in (("docker", mode), ("local", "none")):
        asked = {"workspace_runtime": kind, "workspace_network": mode, "data_dir": tmp_path}
        runtime = await open_runtime(Settings.model_validate(asked))
        assert (runtime.kind, runtime.network) == (kind, there)
        await runtime.close()


@pytest.mark.parametrize("mode", TOLD)
async def test_each_question_of_a_job_tells_it(
    mode: NetworkMode, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house.resources.runtime, "network", mode)
    model = ScriptedModel(company(intake=lambda _: DONE))
    async with house.worker(model):
        job = await house.until_finished(await house.create())
    assert job.status == "build_done", job.error_message
    assert {question.purpose for question in model.asked} == {role.purpose for role in ROLES} - {"contest"}
    for question in model.asked:
        assert question.instructions.count(TOLD[mode]) == 1, question.purpose
        installs = question.purpose in ("ticketing", "checks", "building") and mode != "none"
        assert (INSTALLS in question.messages[0].text) is installs, question.purpose


@pytest.mark.parametrize("mode", TOLD)
def test_no_other_prompt_mentions_the_network(mode: NetworkMode) -> None:
    for role in ROLES:
        told = role.instructions(mode)
        assert "network" not in told.replace(TOLD[mode], ""), role.purpose
    assert not any("network" in (tool.__doc__ or "") for tool in TOOLS.values())


@pytest.mark.parametrize("installs", [True, False])
def test_what_can_be_installed_is_told_with_the_checks(installs: bool) -> None:
    for profile in PROFILES.values():
        told = profile.stack(installs=installs)
        assert (INSTALLS in told) is installs
        assert all(check.promise in told for check in profile.checks)
