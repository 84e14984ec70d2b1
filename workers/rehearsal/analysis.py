"""The Business Analyst: requirements, in sentences that the rest of the cast can read again."""

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
from workers.rehearsal.conversation import clipped_lines, read_talk
from workers.rehearsal.wishes import Wish, read_wishes
from workers.rehearsal.words import capital, clipped

CLIENT_RELATIONS = "Client Relations"
MOST_REQUIREMENTS = 60


def requirements(facts: AnalysisFacts) -> Requirements:
    known = list(facts.known)
    plan = read_blueprint(known)
    if plan and facts.continuation:
        wishes = read_wishes(facts.continuation, plan)
        added = [_wished(wish, plan, f"R{_next_number(known) + index}") for index, wish in enumerate(wishes)]
        return Requirements(
            summary=clipped_lines([facts.summary, f"New: {facts.continuation.strip()}"], 3900),
            requirements=[*known, *added][:MOST_REQUIREMENTS],
            assumptions=[f"The {plan.many} already entered are kept."],
        )
    turns = [(said.who != CLIENT_RELATIONS, said.text) for said in facts.conversation]
    talk = read_talk(turns or [(True, facts.idea)])
    plan, wishes = talk.plan, talk.wishes
    if facts.continuation:
        wishes += read_wishes(facts.continuation, plan)
    written = [*_basics(plan)]
    written += [_wished(wish, plan, f"R{len(written) + index}") for index, wish in enumerate(wishes, start=1)]
    return Requirements(
        summary=facts.summary or facts.idea,
        requirements=[*known, *_renumbered(written, _next_number(known) - 1)][:MOST_REQUIREMENTS],
        assumptions=[
            "Whoever can open the page may read and change everything: there are no accounts.",
            f"The {plan.many} fit on one page that is searched rather than leafed through.",
        ],
    )


def _basics(plan: Blueprint) -> list[Requirement]:
    one, many, a_one = plan.one, plan.many, plan.a_one
    return [
        Requirement(id="R1", title=f"Keep {many}", description=write_keep(plan), priority="must"),
        Requirement(
            id="R2",
            title=f"See all {many}",
            description=f"One page shows every {one} with its values, newest first, readable on a phone "
            f"and a large "
            "screen, by day and by night; while there is nothing to show, it says so.",
            priority="must",
        ),
        Requirement(
            id="R3",
            title=f"Add, change and remove {many}",
            description=f"A form adds {a_one}, the same form changes one, and removing asks first. A "
            f"refused value is "
            "marked at its field, and nothing that was typed is lost.",
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
            f"A menu above the list shows only the {plan.many} with a certain "
            f"{wish.field.label.lower()}; it works together with the search."
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


def _renumbered(written: list[Requirement], offset: int) -> list[Requirement]:
    return [
        item.model_copy(update={"id": f"R{offset + index}"}) for index, item in enumerate(written, start=1)
    ]
