"""Nothing that the client has said gets lost on the way to those who plan, prove and judge."""

from typing import Any, TypeVar
from uuid import UUID

import pytest

from app.actions import runs
from app.store import rows
from app.store.tables import App
from tests.helpers.company import BACKLOG, DECISION, DONE, MORE, PRD, REQUIREMENTS, company, growing_company
from tests.helpers.house import House, tickets
from workers.agents.facts import (
    AnalysisFacts,
    BuildingFacts,
    ComparisonFacts,
    DiscussionFacts,
    Facts,
    PrdFacts,
    ProvingFacts,
    ReviewFacts,
    TicketingFacts,
)
from workers.agents.outputs import (
    MAX_CHECKS,
    Amendment,
    Checks,
    Comparison,
    Gap,
    OpenQuestion,
    Prd,
    PrdRequirement,
    Requirements,
    Turn,
)
from workers.llm.model import Question
from workers.llm.scripted import Line, ScriptedModel
from workers.pipeline.proof.compared import FULL
from workers.pipeline.proof.planned import added
from workers.pipeline.spec import Spec
from workers.pipeline.stages.analysis import merged
from workers.pipeline.stages.prd import markdown, whole

F = TypeVar("F", bound=Facts)

LETTER = "GET /about answers with\n```\nby us\n```"
QUESTION = OpenQuestion(question="Who is “us”?", assumed="The club.")
OBJECTION = "A page nobody reads."


def facts_of(model: ScriptedModel, purpose: str, shape: type[F]) -> list[F]:
    """The facts of all questions for a purpose."""
    asked = [question for question in model.asked if question.purpose == purpose]
    return [shape.model_validate_json(question.messages[0].text) for question in asked]


async def app_of(house: House, job_id: UUID) -> App:
    async with house.resources.look() as session:
        (app,) = await rows.apps(session, job_id)
    return app


async def test_the_clients_words_reach_all_who_are_held_to_them(house: House) -> None:
    analysed = Requirements(summary="Two pages.", requirements=REQUIREMENTS, contract=[1])
    no_number = analysed.model_copy(update={"contract": [2]})
    model = ScriptedModel(company(intake=lambda _: DONE, analysis=[no_number, analysed]))
    async with house.worker(model):
        job = await house.until_finished(await house.create(LETTER))
    assert (job.status, job.verification) == ("build_done", "verified")
    again = [question for question in model.asked if question.purpose == "analysis"][1]
    assert "2 is no number of a message of the client" in again.messages[-1].text
    told: list[Any] = [
        *facts_of(model, "prd", PrdFacts),
        *facts_of(model, "ticketing", TicketingFacts),
        *facts_of(model, "comparison", ComparisonFacts),
        *facts_of(model, "review", ReviewFacts),
    ]
    assert len(told) == 4
    for shown in told:
        said = [(line.who, line.text, line.contract) for line in shown.conversation]
        assert said == [("Client", LETTER, True), ("Client Relations", "Thank you.", False)]
    (compared,) = facts_of(model, "comparison", ComparisonFacts)
    assert [len(ticket.checks) for ticket in compared.tickets] == [1, 1], "names are looked for in checks"
    assert {shown.contract[0] for shown in facts_of(model, "building", BuildingFacts)} == {LETTER}
    assert {shown.contract[0] for shown in facts_of(model, "checks", ProvingFacts)} == {LETTER}
    prd = (await app_of(house, job.id)).prd_markdown
    assert prd.endswith(f"## Appendix: to the letter\n\n````text\n{LETTER}\n````\n")


async def test_what_is_promised_stands_once_in_a_prompt(house: House) -> None:
    model = ScriptedModel(company(intake=lambda _: DONE))
    async with house.worker(model):
        await house.until_finished(await house.create())
    for purpose in ("ticketing", "checks", "comparison", "building", "review"):
        for question in (question for question in model.asked if question.purpose == purpose):
            text = question.messages[0].text
            assert text.count('"Front page"') == 2, "a title and a promise, which are the same here"
            assert "It says hello." not in text, "the PRD has said it in its own words"


async def test_objections_reach_the_secretary_and_the_decision_amends(house: House) -> None:
    amendment = Amendment(id="R2", description="It says by us.", priority="could")
    decided = DECISION.model_copy(update={"amendments": [amendment], "objections": [OBJECTION]})
    unknown = decided.model_copy(update={"amendments": [amendment.model_copy(update={"id": "R9"})]})
    model = ScriptedModel(
        company(
            intake=lambda _: DONE,
            discussion=lambda _: Turn(message="No.", objections=[OBJECTION]),
            decision=[unknown, decided],
        )
    )
    async with house.worker(model):
        job = await house.until_finished(await house.create())
    assert job.status == "build_done"
    first, again = [question for question in model.asked if question.purpose == "decision"]
    shown = DiscussionFacts.model_validate_json(first.messages[0].text)
    assert [turn.objections for turn in shown.said] == [[OBJECTION]] * 4
    assert "R9 may not be amended now, only R1, R2" in again.messages[-1].text
    (prd,) = facts_of(model, "prd", PrdFacts)
    assert [(item.description, item.priority) for item in prd.requirements] == [
        ("It says hello.", "must"),
        ("It says by us.", "could"),
    ]
    assert prd.decision.objections == [OBJECTION]
    assert facts_of(model, "ticketing", TicketingFacts)[0].decision.objections == [OBJECTION]


async def test_a_continuation_is_told_what_was_before_and_what_is_new(house: House) -> None:
    script = growing_company()
    plain: Any = script["prd"]

    def prd(question: Question) -> Line:
        line: Prd = plain(question).model_copy(update={"questions": [QUESTION]})
        shown = PrdFacts.model_validate_json(question.messages[0].text)
        if shown.continuation:  # it writes what is new, and overwrites what is not
            front = PrdRequirement(id="R1", text="As before.", priority="must")
            line = line.model_copy(update={"requirements": [front, line.requirements[-1]]})
        return line

    model = ScriptedModel({**script, "prd": prd})
    async with house.worker(model):
        job_id = await house.create()
        first = await house.until_finished(job_id)
        await runs.continue_job(house.resources, house.user_id, "Ada", job_id, MORE)
        job = await house.until_finished(job_id)
    assert (first.verification, job.status, job.verification) == ("verified", "build_done", "verified")
    known = facts_of(model, "analysis", AnalysisFacts)[-1]
    later = facts_of(model, "discussion", DiscussionFacts)[-1]
    for before in (known.before, later.before):
        assert before is not None
        assert (before.decision, before.questions) == ("Small.", [QUESTION])
    assert later.new == ["R3"]
    asked = facts_of(model, "prd", PrdFacts)[-1]
    assert asked.new == ["R3"]
    assert asked.before is not None
    assert asked.before.title == "Pages"
    assert [item.description for item in asked.requirements] == ["Front page", "About", "How to write."]
    assert facts_of(model, "review", ReviewFacts)[-1].new == ["R3"]
    spec = Spec.model_validate((await app_of(house, job_id)).spec)
    assert spec.prd is not None
    assert [item.text for item in spec.prd.requirements] == ["Front page", "About", "Contact"]
    assert spec.prd.open_questions == [QUESTION.question]


async def test_what_the_plan_lacks_is_added_once(house: House) -> None:
    gap = Gap(ticket="T3", missing="/about says by.")
    found = Comparison(message="One thing.", gaps=[gap])
    nowhere = Comparison(message="?", gaps=[Gap(ticket="T1", missing="x")])
    more = BACKLOG.tickets[2].checks[0].model_copy(update={"id": "c2", "criterion": 1, "expect_text": "by"})
    checks: Any = company()["checks"]

    def proving(question: Question) -> Line:
        if gap.missing not in question.messages[1].text:
            line: Line = checks(question)
            return line
        return Checks(criteria=[gap.missing], checks=[more])

    model = ScriptedModel(company(intake=lambda _: DONE, comparison=[nowhere, found], checks=proving))
    async with house.worker(model):
        job = await house.until_finished(await house.create())
    assert (job.status, job.verification) == ("build_done", "verified")
    again = [question for question in model.asked if question.purpose == "comparison"]
    assert "T1 is no ticket of the plan that is built" in again[1].messages[-1].text, "it is an epic"
    about = next(t for t in await tickets(house, job.id) if t.title == "Page /about")
    assert about.acceptance_criteria == ["/about says us.", gap.missing]
    assert [check["id"] for check in about.checks] == ["c1", "c2"]
    said = next(e["content"] for e in await house.events(job.id) if e.get("sender") == "CTO")
    assert said == f"One thing.\n\nAdded to the plan:\n- {gap.missing}"


async def test_what_a_full_ticket_lacks_is_left_out_and_told(house: House) -> None:
    gap = Gap(ticket="T3", missing="/about says by.")
    found = Comparison(message="One thing.", gaps=[gap])
    script = company(intake=lambda _: DONE, comparison=[found])
    plain: Any = script["checks"]

    def proving(question: Question) -> Line:
        line: Checks = plain(question)
        checks = [line.checks[0].model_copy(update={"id": f"c{n}"}) for n in range(MAX_CHECKS)]
        return line.model_copy(update={"checks": checks})

    async with house.worker(ScriptedModel({**script, "checks": proving})):
        job = await house.until_finished(await house.create())
    assert (job.status, job.verification) == ("build_done", "verified")
    said = next(e["content"] for e in await house.events(job.id) if e.get("sender") == "CTO")
    assert said == f"One thing.\n\n{FULL}\n- {gap.missing}"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Checks(), "needs an executable check"),
        (Checks(criteria=["New."], checks=[BACKLOG.tickets[2].checks[0]]), "criterion 1 needs a check"),
        (Checks(checks=[BACKLOG.tickets[2].checks[0]]), "more than one check has the id c1"),
        (
            Checks(checks=[BACKLOG.tickets[2].checks[0].model_copy(update={"id": "c2", "criterion": 3})]),
            "a criterion that does not exist",
        ),
    ],
)
def test_what_is_added_has_to_fit(answer: Checks, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        added(BACKLOG.tickets[2], answer)


def test_known_requirements_need_not_be_written_again() -> None:
    front, about = REQUIREMENTS
    new = front.model_copy(update={"id": "R3", "title": "Contact"})
    other = about.model_copy(update={"description": "It names the club."})
    answer = Requirements(summary="s", requirements=[other, new], changed=["R2"])
    assert merged(REQUIREMENTS, answer) == [front, other, new]
    unasked = Requirements(summary="s", requirements=[front.model_copy(update={"description": "As before."})])
    assert merged(REQUIREMENTS, unasked) == REQUIREMENTS


def test_a_prd_keeps_its_promises() -> None:
    spec = Spec(requirement_list=REQUIREMENTS, new=["R2"], prd=PRD)
    short = PRD.model_copy(
        update={"requirements": [PrdRequirement(id="R2", text="Who made it.", priority="must")]}
    )
    written = whole(spec, short)
    assert [(item.id, item.text, item.priority) for item in written.requirements] == [
        ("R1", "Front page", "must"),
        ("R2", "Who made it.", "should"),
    ]
    with pytest.raises(ValueError, match="R2 are missing"):
        whole(spec, PRD.model_copy(update={"requirements": []}))
    with pytest.raises(ValueError, match="R9 are not among"):
        whole(spec, PRD.model_copy(update={"left_out": ["R9"]}))
    could = [REQUIREMENTS[0], REQUIREMENTS[1].model_copy(update={"priority": "could"})]
    left = whole(Spec(requirement_list=could, prd=PRD), PRD.model_copy(update={"left_out": ["R1", "R2"]}))
    assert [item.id for item in left.requirements] == ["R1"], "only what is `could` may be left out"


def test_a_question_stands_with_what_is_assumed() -> None:
    asked = whole(
        Spec(requirement_list=REQUIREMENTS, prd=PRD), PRD.model_copy(update={"questions": [QUESTION]})
    )
    text = markdown(asked, DECISION)
    assert "## Open questions\n\n- Who is “us”? Until then: The club." in text
    assert "Appendix" not in text
