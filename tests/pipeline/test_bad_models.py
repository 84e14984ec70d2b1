"""With a model of any quality the job ends with the true reason, and is never `build_done` too early."""

from typing import Any

from app.actions import runs
from app.store.tables import Job, Ticket
from tests.helpers.company import BACKLOG, DECISION, DONE, PRD, SERVER, builder, call, company
from tests.helpers.house import House, tickets
from workers.agents.facts import BuildingFacts
from workers.agents.outputs import Requirements
from workers.llm.model import Answer, ModelMisbehaved, ModelUnavailable, Question, ToolCall
from workers.llm.scripted import Line, ScriptedModel


async def play(house: House, **changes: Any) -> tuple[Job, ScriptedModel, list[Ticket]]:
    model = ScriptedModel(company(intake=lambda _: DONE, **changes))
    async with house.worker(model):
        job_id = await house.create()
        job = await house.until_finished(job_id)
    return job, model, await tickets(house, job_id)


async def test_one_wrong_answer_is_mended_by_quoting_the_error(house: House) -> None:
    wrong = PRD.model_copy(update={"requirements": PRD.requirements[:1]})
    job, model, _ = await play(house, prd=[wrong, PRD])
    assert job.status == "build_done"
    again = [question for question in model.asked if question.purpose == "prd"][1]
    assert "R2" in again.messages[-1].text


async def test_a_retry_does_not_reuse_an_invalid_answer(house: House) -> None:
    model = ScriptedModel(company(intake=lambda _: DONE, decision=["?", "?", "?", DECISION]))
    async with house.worker(model):
        job_id = await house.create()
        assert (await house.until_finished(job_id)).failure_code == "model_misbehaved"
        await runs.retry_job(house.resources, house.user_id, job_id)
        assert (await house.until_finished(job_id)).status == "build_done"


async def test_a_model_that_cannot_be_reached(house: House) -> None:
    job, _, _ = await play(house, discussion=lambda _: ModelUnavailable("connection refused."))
    assert (job.status, job.failure_code) == ("failed", "model_unavailable")


async def test_a_model_that_says_itself_that_it_cannot(house: House) -> None:
    job, _, _ = await play(house, discussion=lambda _: ModelMisbehaved("No part for this continuation."))
    assert (job.status, job.failure_code) == ("failed", "model_misbehaved")
    assert "continuation" not in job.error_message


async def test_done_without_work_is_not_done(house: House) -> None:
    job, _, found = await play(house, building=lambda _: call("finish", summary="All done!"))
    assert (job.status, job.failure_code) == ("failed", "checks_failed")
    assert job.verification is None
    statuses = {ticket.title: ticket.status for ticket in found}
    assert statuses == {"The pages": "failed", "Page /": "failed", "Page /about": "skipped"}
    assert next(ticket for ticket in found if ticket.title == "Page /").attempts == 3


async def test_a_failed_ticket_leaves_nothing_to_those_that_follow(house: House) -> None:
    """Here the second page depends on nothing, and the broken server of the first one must not disturb it."""
    free = BACKLOG.model_copy(
        update={"tickets": [t.model_copy(update={"depends_on": []}) for t in BACKLOG.tickets]}
    )

    def broken(question: Question) -> Line:
        shown = BuildingFacts.model_validate_json(question.messages[0].text)
        turn = sum(message.role == "assistant" for message in question.messages)
        if shown.ticket == "Page /":
            return [call("write_file", path="junk.txt", content="junk"), call("finish", summary="?")][turn]
        assert "junk.txt" not in shown.files
        return [call("write_file", path="ok.txt", content="ok"), call("finish", summary="?")][turn]

    job, _, _ = await play(house, ticketing=lambda _: free, building=broken)
    assert job.failure_code == "checks_failed"


SPENT = "import os, sys\nif os.path.exists('data'):\n    sys.exit('spent')\nos.mkdir('data')\n"


def _spent(question: Question, mend: Line) -> Line:
    """A builder of an app that starts only once, because its own data make it fail. Told so, it does
    `mend`."""
    facts = BuildingFacts.model_validate_json(question.messages[0].text)
    if facts.ticket.startswith("Mend: "):
        assert "spent" in facts.description
        return mend if len(question.messages) == 1 else call("finish", summary="It starts.")
    if facts.finished or len(question.messages) > 1:
        return builder(question)
    ignored = call("write_file", path=".gitignore", content="data/\n")
    return Answer("", "x", (call("write_file", path="server.py", content=SPENT + SERVER), ignored))


async def test_an_app_that_starts_once_is_not_done(house: House) -> None:
    """An app has to start again with its data after its box was asleep."""
    lazy = call("finish", summary="It starts, trust me.")
    job, _, _ = await play(house, building=lambda question: _spent(question, lazy))
    assert (job.status, job.failure_code) == ("failed", "checks_failed")
    assert "spent" in job.error_message


async def test_an_app_that_does_not_start_on_its_data_is_mended_once(house: House) -> None:
    works = call(
        "edit_file", path="server.py", old="    sys.exit('spent')\nos.mkdir", new="    pass\nelse: os.mkdir"
    )
    job, _, found = await play(house, building=lambda question: _spent(question, works))
    assert (job.status, job.verification, job.error_message) == ("build_done", "partly", "")
    assert [ticket.status for ticket in found if ticket.title.startswith("Mend: ")] == ["done"]


WRONG: list[Line] = [
    ToolCall("c", "fly", "{}"),
    ToolCall("c", "write_file", "{not json"),
    ToolCall("c", "write_file", '{"path": 7}'),
    call("write_file", path="/etc/passwd", content="x"),
    call("write_file", path="../out", content="x"),
    call("read_file", path="missing.txt"),
    call("edit_file", path="boardroom.json", old="nowhere", new="x"),
    call("run_command", command="rm -rf /app/*.* /app/.[a-z]*; kill -9 -1; echo still here"),
    call("run_command", command="cat /dev/zero | head -c 5000000"),
    Answer("I would rather talk.", "scripted"),
]


async def test_wrong_tool_calls_are_answered_and_the_build_goes_on(house: House) -> None:
    def astray(question: Question) -> Line:
        shown = BuildingFacts.model_validate_json(question.messages[0].text)
        turn = sum(message.role == "assistant" for message in question.messages)
        if shown.finished:
            return builder(question)
        if turn < len(WRONG):
            return WRONG[turn]
        first, *rest = question.messages
        return builder(Question(question.agent, question.purpose, "", (first, *rest[2 * len(WRONG) :])))

    job, model, _ = await play(house, building=astray)
    assert (job.status, job.verification) == ("build_done", "verified")
    said = next(q.messages for q in model.asked if len(q.messages) == 1 + 2 * len(WRONG))
    answers = [message.text for message in said if message.role == "tool"]
    assert len(answers) == len(WRONG) - 1
    assert all(text.startswith("error: ") for text in answers[:7])


async def test_an_analysis_that_drops_everything_is_not_taken(house: House) -> None:
    empty = Requirements.model_construct(summary="x", requirements=[], assumptions=[])
    job, model, _ = await play(house, analysis=lambda _: empty)
    assert (job.status, job.failure_code) == ("failed", "model_misbehaved")
    assert sum(question.purpose == "analysis" for question in model.asked) == 3
