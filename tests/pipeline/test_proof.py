"""A check is proof if it failed before its ticket, or on the commit at which the run began to build."""

from collections.abc import Callable
from uuid import UUID

from app.actions import runs
from app.store import rows, traces
from app.store.tables import Job
from tests.helpers.company import DONE, MORE, SERVER, builder, call, company, growing_company, story
from tests.helpers.house import House, tickets
from workers.agents.facts import BuildingFacts, TicketingFacts
from workers.agents.outputs import Backlog, TicketDraft
from workers.llm.model import Question
from workers.llm.scripted import Line, ScriptedModel

BOTH = SERVER.replace('PAGES = {"/": "hello"', 'PAGES = {"/": "hello", "/about": "by us"')


def eager(question: Question) -> Line:
    """Builds the second page together with the first; then there is nothing left to do."""
    facts = BuildingFacts.model_validate_json(question.messages[0].text)
    turn = sum(message.role == "assistant" for message in question.messages)
    if facts.finished:
        return call("finish", summary="It was there already.")
    return call("write_file", path="server.py", content=BOTH) if turn == 0 else builder(question)


async def phases(house: House, job_id: UUID, title: str) -> list[tuple[str, bool]]:
    of = {ticket.title: ticket.id for ticket in await tickets(house, job_id)}
    async with house.resources.look() as session:
        seen = await rows.evidence(session, job_id)
    return [(item.phase, item.passed) for item in seen if item.ticket_id == of[title]]


async def before(house: House, job_id: UUID, title: str) -> list[tuple[str, bool, bool]]:
    """Of each check of a ticket in the trace: the phase and result before the work, and whether it is
    proven."""
    async with house.resources.statements() as statements:
        traced = await traces.traced(statements, house.user_id, job_id)
    assert traced is not None
    (found,) = [t for row in traced for t in row["tickets"] if t["title"] == title]
    return [(c["before"]["phase"], c["before"]["passed"], c["proven"]) for c in found["checks"]]


async def test_a_builder_that_does_more_than_asked_proves_as_much(house: House) -> None:
    async with house.worker(ScriptedModel(company(intake=lambda _: DONE, building=eager))):
        job = await house.until_finished(await house.create())
    assert (job.status, job.verification) == ("build_done", "verified")
    assert await phases(house, job.id, "Page /about") == [
        ("red", True),
        ("run", False),
        ("green", True),
        ("final", True),
    ]
    assert await before(house, job.id, "Page /about") == [("run", False, True)]


def asking_again(*checks: tuple[str, str]) -> Callable[[Question], Line]:
    """The plan of `growing_company`, whose ticket of the continuation checks these (path, text)."""
    first = growing_company()["ticketing"]

    def ticketing(question: Question) -> Line:
        shown = TicketingFacts.model_validate_json(question.messages[0].text)
        if not shown.continuation:
            assert callable(first)
            return first(question)
        page = story("T4", *checks[0], "R3", []).model_dump(mode="json")
        one = page["checks"][0]
        page["acceptance_criteria"] = [f"{path} says {text}." for path, text in checks]
        page["checks"] = [
            {**one, "id": f"c{place}", "criterion": place, "path": path, "expect_text": text}
            for place, (path, text) in enumerate(checks)
        ]
        return Backlog(tickets=[TicketDraft.model_validate({**page, "parent": ""})])

    return ticketing


def builds_what_is_new(question: Question) -> Line:
    facts = BuildingFacts.model_validate_json(question.messages[0].text)
    is_there = len(facts.finished) == 2 and facts.ticket != "Page /contact"
    return call("finish", summary="It was there already.") if is_there else builder(question)


async def continued(house: House, *checks: tuple[str, str]) -> tuple[Job, str]:
    """The job after a continuation that checks these, and its closing message."""
    script = {**growing_company(), "ticketing": asking_again(*checks), "building": builds_what_is_new}
    async with house.worker(ScriptedModel(script)):
        job_id = await house.create()
        assert (await house.until_finished(job_id)).verification == "verified"
        await runs.continue_job(house.resources, house.user_id, "Ada", job_id, MORE)
        job = await house.until_finished(job_id)
    said = [event["content"] for event in await house.events(job_id) if event["kind"] == "stageUpdate"]
    (closing,) = [text for text in said if "proven in" in text.lower() or "Not proven" in text]
    return job, closing


async def test_what_held_before_a_continuation_proves_nothing_of_it(house: House) -> None:
    """The scaffold did not say `nothing` on this path, but what the run before has built does."""
    job, said = await continued(house, ("/", "hell"))
    assert (job.status, job.verification) == ("build_done", "partly")
    assert "Not proven by a check:\n- Page /: / says hell. (holds, but held before)" in said


async def test_what_an_earlier_run_has_proven_may_be_asked_for_again(house: House) -> None:
    job, said = await continued(house, ("/contact", "mail"), ("/", "hello"))
    assert (job.status, job.verification) == ("build_done", "verified")
    assert "- Page /contact: / says hello. (holds, but held before)" in said
    assert await before(house, job.id, "Page /contact") == [("red", False, True), ("run", True, False)]


async def test_a_ticket_needs_something_that_its_own_run_has_proven(house: House) -> None:
    job, said = await continued(house, ("/about", "us"))
    assert (job.status, job.verification) == ("build_done", "partly")
    assert "No criterion of these tickets was proven in their own run:\n- Page /about" in said
