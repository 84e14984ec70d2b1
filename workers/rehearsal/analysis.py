"""The Business Analyst: requirements, in sentences that the rest of the cast can read again."""

from app.domain.values import clip
from workers.agents.facts import AnalysisFacts
from workers.agents.outputs import Requirement, Requirements
from workers.rehearsal.blueprint import (
    CANNOT_TITLE,
    EXPORT_TITLE,
    FIELD_TITLE,
    FILTER_TITLE,
    THERE_TITLE,
    Blueprint,
    read_blueprint,
    write_added,
    write_keep,
)
from workers.rehearsal.conversation import read_talk
from workers.rehearsal.wishes import Wish, read_wishes
from workers.rehearsal.words import capital, clipped

CLIENT_RELATIONS = "Client Relations"
MOST_REQUIREMENTS = 60
MOST_SUMMARY = 3900


def requirements(facts: AnalysisFacts) -> Requirements:
    known = list(facts.known)
    plan = read_blueprint(known)
    if plan and facts.continuation:
        new = f"New: {clip(facts.continuation.strip(), 1500)}"
        return Requirements(
            summary=f"{clip(facts.summary, MOST_SUMMARY - len(new))}\n{new}",
            requirements=_with_wishes(known, read_wishes(facts.continuation, plan), plan),
            assumptions=[f"The {plan.many} already entered are kept."],
        )
    turns = [(said.who != CLIENT_RELATIONS, said.text) for said in facts.conversation]
    talk = read_talk(turns or [(True, facts.summary)])
    plan, wishes = talk.plan, talk.wishes
    if facts.continuation:
        wishes += read_wishes(facts.continuation, plan)
    first = _next_number(known)
    basics = [
        item.model_copy(update={"id": f"R{number}"}) for number, item in enumerate(_basics(plan), first)
    ]
    return Requirements(
        summary=clip(facts.summary, MOST_SUMMARY),
        requirements=_with_wishes([*known, *basics], wishes, plan),
        assumptions=[
            "Whoever can open the page may read and change everything: there are no accounts.",
            f"The {plan.many} fit on one page that is searched rather than leafed through.",
        ],
    )


def _with_wishes(before: list[Requirement], wishes: list[Wish], plan: Blueprint) -> list[Requirement]:
    """A requirement for each wish; what is more than a list can hold is said in the last one."""
    room = MOST_REQUIREMENTS - len(before)
    if len(wishes) > room:
        words = f"{len(wishes) - room + 1} further wishes"
        wishes = [*wishes[: room - 1], Wish("cannot", words, reason="that is more than one plan can hold")]
    first = _next_number(before)
    return [*before, *(_wished(wish, plan, f"R{number}") for number, wish in enumerate(wishes[:room], first))]


def _basics(plan: Blueprint) -> list[Requirement]:
    one, many, a_one = plan.one, plan.many, plan.a_one
    return [
        Requirement(id="R1", title=f"Keep {many}", description=write_keep(plan), priority="must"),
        Requirement(
            id="R2",
            title=f"See all {many}",
            description=f"One page shows every {one} with its values, newest first, readable on a phone and "
            "a large screen, by day and by night; while there is nothing to show, it says so.",
            priority="must",
        ),
        Requirement(
            id="R3",
            title=f"Add, change and remove {many}",
            description=f"A form adds {a_one}, the same form changes one, and removing asks first. A "
            "refused value is marked at its field, and nothing that was typed is lost.",
            priority="must",
        ),
        Requirement(
            id="R4",
            title=f"Find {a_one}",
            description=f"A search box finds {many} by the words in them, however they are capitalised.",
            priority="should",
        ),
    ]


def _wished(wish: Wish, plan: Blueprint, number: str) -> Requirement:
    if wish.kind == "field" and wish.field:
        return Requirement(
            id=number,
            title=f"{FIELD_TITLE}{wish.field.label}",
            description=write_added(plan, wish.field),
            priority="must",
        )
    if wish.kind == "export":
        told = f"The {plan.many} that the list shows can be downloaded as a CSV file for a spreadsheet."
        return Requirement(id=number, title=EXPORT_TITLE, description=told, priority="should")
    if wish.kind == "filter" and wish.field:
        told = (
            f"A menu above the list shows only the {plan.many} with a certain {wish.field.label.lower()}; "
            "it works together with the search."
        )
        return Requirement(
            id=number, title=f"{FILTER_TITLE}{wish.field.label}", description=told, priority="should"
        )
    before = THERE_TITLE if wish.kind == "there" else CANNOT_TITLE
    told = f"The client asked: “{wish.words}”. {capital(wish.reason)}."
    return Requirement(
        id=number, title=f"{before}{clipped(wish.words, 20)}"[:290], description=told, priority="could"
    )


def _next_number(known: list[Requirement]) -> int:
    return max((int(item.id[1:]) for item in known), default=0) + 1
