"""The Project Manager: the PRD, and the backlog in an order in which every step can be checked."""

from collections.abc import Sequence
from dataclasses import replace

from app.domain.ticket import TicketStatus, TicketType
from workers.agents.facts import AskedTicket, KnownTicket, PrdFacts, ProvingFacts, TicketingFacts
from workers.agents.outputs import Backlog, Checks, Prd, PrdRequirement, Requirement, TicketDraft
from workers.rehearsal.blueprint import (
    CANNOT_TITLE,
    EXPORT_TITLE,
    FIELD_TITLE,
    FILTER_TITLE,
    THERE_TITLE,
    Blueprint,
    read_blueprint,
)
from workers.rehearsal.impossible import BEYOND
from workers.rehearsal.reading import read_plan
from workers.rehearsal.stories import Story, base_stories
from workers.rehearsal.wished_stories import export_story, field_story, filter_story
from workers.rehearsal.words import capital

RISK = "Risk: "
FOUNDATION, SCREEN, WISHES = "Foundation", "On the screen", "Wishes"


def understood(requirements: Sequence[Requirement], summary: str) -> Blueprint:
    """The cast's blueprint; of requirements written by somebody else, what simple rules read in them."""
    told = "\n".join([summary, *(item.description for item in requirements)])
    return read_blueprint(requirements) or read_plan(summary, (told,))


def prd(facts: PrdFacts) -> Prd:
    plan = understood(facts.requirements, facts.summary)
    beyond = [item for item in facts.requirements if item.title.startswith(CANNOT_TITLE)]
    wanted = [item for item in facts.requirements if not _was_there(item, facts.continuation)]
    return Prd(
        title=plan.title,
        problem=facts.summary,
        goals=[
            f"Adding {plan.a_one} takes less than a minute.",
            f"Any {plan.one} is found again in seconds.",
            f"No {plan.one} is ever lost: not by a restart, not by a later change to the app.",
        ],
        users=[
            f"The people who keep these {plan.many} together",
            f"Whoever looks up {plan.a_one} on a phone",
        ],
        requirements=[
            PrdRequirement(
                id=item.id, text=f"{item.title}. {item.description}"[:4000], priority=item.priority
            )
            for item in wanted
        ],
        left_out=[item.id for item in facts.requirements if item not in wanted],
        out_of_scope=[
            *(f"{item.title.removeprefix(CANNOT_TITLE)} – {_reason(item)}"[:300] for item in beyond[:18]),
            "Accounts and access rights",
            "Anything that needs a network",
        ],
    )


def _was_there(item: Requirement, continuation: str) -> bool:
    """Whether this was found to be there already in an earlier run: then it needs no word any more."""
    said = item.title.removeprefix(THERE_TITLE).removesuffix(" …")
    return item.title.startswith(THERE_TITLE) and said.lower() not in continuation.lower()


def backlog(facts: TicketingFacts) -> Backlog:
    """A story for each requirement that has none yet, under epics; what cannot be done is a skipped story."""
    plan = understood(facts.requirements, facts.prd.problem)
    stories, skipped = _needed(facts, plan)
    risky = _riskiest(stories)
    drafts: list[TicketDraft] = []
    epics: dict[str, str] = {}
    keys = {
        story.title: _key(story.title, facts.known, index) for index, story in enumerate(stories, start=1)
    }
    finished = {ticket.title: ticket.id for ticket in facts.known if ticket.status is TicketStatus.DONE}
    for story in stories:
        epic = _epic(story.epic, facts.known, epics, drafts, plan)
        needed = [keys.get(title) or finished.get(title) for title in story.after]
        drafts.append(
            TicketDraft(
                key=keys[story.title],
                type=TicketType.STORY,
                title=story.title,
                description=f"{story.description}\n\n{RISK}{story.risk}"
                if story is risky
                else story.description,
                parent=epic,
                depends_on=[key for key in needed if key],
                requirements=list(story.requirements),
                acceptance_criteria=[criterion.text for criterion in story.criteria],
            )
        )
    for index, item in enumerate(skipped, start=len(stories) + 1):
        epic = _epic(WISHES, facts.known, epics, drafts, plan)
        drafts.append(_skip(item, f"T{index}", epic))
    for ticket in _written_by_hand(facts.known, {draft.key for draft in drafts}):
        epic = ticket.parent or _epic(WISHES, facts.known, epics, drafts, plan)
        drafts.append(_skip_by_hand(ticket, epic))
    return Backlog(tickets=drafts)


def checks(facts: ProvingFacts, asked: AskedTicket) -> Checks:
    """The checks of one story of the backlog. Raises ValueError if it is none of the cast's."""
    plan = understood(facts.requirements, facts.summary)
    title = next((ticket.title for ticket in facts.tickets if ticket.key == asked.ticket), "")
    story = next((story for story in _stories(facts.requirements, plan) if story.title == title), None)
    if story is None:
        raise ValueError(f"no story of the cast's is called {title!r}")
    return Checks(
        checks=[
            criterion.check.model_copy(update={"id": f"c{index}", "criterion": index - 1})
            for index, criterion in enumerate(story.criteria, start=1)
        ]
    )


def _written_by_hand(known: Sequence[KnownTicket], taken_up: set[str]) -> list[KnownTicket]:
    """The client's own tickets that are none of the cast's steps."""
    return [
        ticket
        for ticket in known
        if ticket.of_client
        and ticket.type is not TicketType.EPIC
        and ticket.status is not TicketStatus.DONE
        and ticket.id not in taken_up
    ]


def _needed(facts: TicketingFacts, plan: Blueprint) -> tuple[list[Story], list[Requirement]]:
    """The stories still to be done, and the requirements nothing can be done about."""
    uncovered = set(facts.uncovered)
    open_titles = {
        ticket.title
        for ticket in facts.known
        if ticket.status in (TicketStatus.TODO, TicketStatus.IN_PROGRESS, TicketStatus.FAILED)
    }
    done_titles = {ticket.title for ticket in facts.known if ticket.status is TicketStatus.DONE}
    stories = _stories(facts.requirements, plan)
    basics = _basics(facts.requirements)
    skipped = [
        item
        for item in facts.requirements
        if item.id in uncovered and item not in basics and not _extra(item, plan)
    ]
    wanted = [
        story
        for story in stories
        if story.title in open_titles
        or (story.title not in done_titles and uncovered.intersection(story.requirements))
    ]
    return wanted, skipped


def _stories(requirements: Sequence[Requirement], plan: Blueprint) -> list[Story]:
    """All stories that these requirements ask for."""
    stories: list[Story] = []
    if basics := _basics(requirements):
        at_first = tuple(field for field in plan.fields if field.name not in plan.added)
        stories += base_stories(replace(plan, fields=at_first, added=()), [item.id for item in basics])
    extras = (_extra(item, plan) for item in requirements)
    return stories + [story for story in extras if story]


def _basics(requirements: Sequence[Requirement]) -> list[Requirement]:
    """The four that every app of the cast's begins with; none if they are not all there."""
    found = [item for item in requirements if _is_basic(item)][:4]
    return found if len(found) == 4 else []


def _is_basic(item: Requirement) -> bool:
    return item.title.startswith(("Keep ", "See all ", "Add, change and remove ", "Find "))


def _extra(item: Requirement, plan: Blueprint) -> Story | None:
    if item.title.startswith(FIELD_TITLE):
        field = next((new for new in plan.fields if f"{FIELD_TITLE}{new.label}" == item.title), None)
        return field_story(plan, field, item.id) if field and field.name in plan.added else None
    if item.title == EXPORT_TITLE:
        return export_story(plan, item.id)
    if item.title.startswith(FILTER_TITLE):
        field = next((old for old in plan.fields if f"{FILTER_TITLE}{old.label}" == item.title), None)
        return filter_story(plan, field, item.id) if field else None
    return None


def _riskiest(stories: list[Story]) -> Story | None:
    """The one step that is most likely to go wrong at first: the Builder is warned of it."""
    risky = [story for story in stories if story.risk]
    return next((story for story in risky if story.title.startswith("Find ")), risky[0] if risky else None)


def _key(title: str, known: list[KnownTicket], index: int) -> str:
    """The id of the open ticket of an earlier run, else a new key."""
    taken_up = next(
        (ticket.id for ticket in known if ticket.title == title and ticket.status is not TicketStatus.DONE),
        None,
    )
    return taken_up or f"T{index}"


def _epic(
    name: str, known: list[KnownTicket], epics: dict[str, str], drafts: list[TicketDraft], plan: Blueprint
) -> str:
    """The key of the epic, made at its first ticket; an earlier run's is used again."""
    if name not in epics:
        title = {
            FOUNDATION: f"{capital(plan.many)} that stay",
            SCREEN: f"{capital(plan.many)} on the screen",
            WISHES: "Further wishes",
        }[name]
        earlier = next(
            (ticket.id for ticket in known if ticket.type is TicketType.EPIC and ticket.title == title), None
        )
        epics[name] = earlier or f"E{len(epics) + 1}"
        if earlier is None:
            drafts.append(
                TicketDraft(
                    key=epics[name],
                    type=TicketType.EPIC,
                    title=title,
                    description=_EPICS[name].format(many=plan.many),
                )
            )
    return epics[name]


_EPICS = {
    FOUNDATION: "Storing {many} safely, and reaching them from other programs.",
    SCREEN: "Seeing, entering and finding {many} by hand.",
    WISHES: "What the client asked for beyond the basics.",
}


def _skip(item: Requirement, key: str, epic: str) -> TicketDraft:
    words = item.title.removeprefix(CANNOT_TITLE).removeprefix(THERE_TITLE)
    return TicketDraft(
        key=key,
        type=TicketType.STORY,
        title=capital(words),
        description=item.description,
        parent=epic,
        requirements=[item.id],
        skip_reason=f"{capital(_reason(item))}."[:500],
    )


def _skip_by_hand(ticket: KnownTicket, epic: str) -> TicketDraft:
    return TicketDraft(
        key=ticket.id,
        type=ticket.type,
        title=ticket.title,
        description=ticket.description,
        parent=epic,
        requirements=ticket.requirements,
        acceptance_criteria=ticket.acceptance_criteria,
        skip_reason="The rehearsal cast builds only its own steps, and this is none of them.",
    )


def _reason(item: Requirement) -> str:
    told = item.description.split("”. ", 1)[-1] if "”. " in item.description else BEYOND
    return (told[:1].lower() + told[1:]).rstrip(".")
