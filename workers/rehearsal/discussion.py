"""CEO, CTO and Secretary: what to build first, what could go wrong, and what was decided."""

from app.domain.ticket import TicketStatus
from app.domain.values import clip
from workers.agents.facts import ComparisonFacts, DiscussionFacts, ReviewFacts
from workers.agents.outputs import Comparison, DecisionRecord, Option, Requirement, Review, Turn
from workers.rehearsal.blueprint import CANNOT_TITLE, FIELD_TITLE, Blueprint
from workers.rehearsal.planning import understood
from workers.rehearsal.words import listed

CEO = "CEO"


def turn(agent: str, facts: DiscussionFacts) -> Turn:
    plan = understood(facts.requirements, facts.summary)
    if facts.continuation:
        return _ceo_again(facts, plan) if agent == CEO else _cto_again(facts, plan)
    if agent == CEO:
        return _ceo_first(facts, plan) if facts.round == 1 else _ceo_last(plan)
    return _cto_first(plan) if facts.round == 1 else _cto_last(plan)


def review(facts: ReviewFacts) -> Review:
    """The cast cannot read code, and says so."""
    done = sum(ticket.status is TicketStatus.DONE for ticket in facts.tickets)
    return Review(
        message=f"This is a rehearsal: a scripted reviewer reads no code and passes every build. What stands "
        f"behind “{facts.prd.title}” are the service's own checks of its {done} finished tickets."
    )


def comparison(facts: ComparisonFacts) -> Comparison:
    """The cast understands what it has planned, and nothing beyond; it says so."""
    return Comparison(
        message=f"This is a rehearsal: a scripted reviewer does not read your words. The plan has "
        f"{len(facts.tickets)} tickets for {len(facts.requirements)} requirements."
    )


def _ceo_first(facts: DiscussionFacts, plan: Blueprint) -> Turn:
    beyond = _beyond(facts.requirements)
    message = (
        f"“{plan.title}” stands or falls with one minute: somebody opens it, adds {plan.a_one} and sees it "
        f"in the list. That comes first, finding {plan.many} again right after, everything else later."
    )
    if beyond:
        message += (
            f" We say openly that we will not deliver {clip(listed(beyond), 2000)}; promising it would be "
            "worse than leaving it out."
        )
    return Turn(
        message=message,
        objections=["Every field we ask for beyond the first makes adding slower: only one may be required."],
    )


def _cto_first(plan: Blueprint) -> Turn:
    heading = plan.fields[0].label
    return Turn(
        message=(
            "I want as few moving parts as possible: Python's standard library, one SQLite file, pages "
            "made on the server. No build step, nothing to install, and it still runs in five years. Only "
            f"{heading.lower()} is required. What worries me is the search: SQLite compares bytes, so "
            "capitals and accents need care, and I want a check that proves it."
        ),
        objections=[
            "There are no accounts, so whoever reaches the page can change everything.",
            "Search must not depend on capitals; SQLite's own comparison does.",
        ],
    )


def _ceo_last(plan: Blueprint) -> Turn:
    return Turn(
        message=f"Agreed. No accounts is right for people who trust each other with their {plan.many}. "
        "Order of work: keeping, seeing, editing, finding. And it has to look good on a phone, "
        "because that is where it will be opened."
    )


def _cto_last(plan: Blueprint) -> Turn:
    return Turn(
        message="Then that is the plan. Each step gets a check that fails before it and passes after it, "
        f"so nobody has to believe us. The {plan.many} are also reachable as JSON; it costs little "
        "and makes everything testable."
    )


def _ceo_again(facts: DiscussionFacts, plan: Blueprint) -> Turn:
    if facts.round > 1:
        return Turn(
            message="Good. Nothing the client has entered may be lost on the way; apart from that, go "
            f"ahead with these {plan.many}."
        )
    beyond = _beyond(facts.requirements)
    message = (
        f"The client comes back with: “{facts.continuation.strip()[:600]}”. That is a good sign, people "
        "only ask more of what they use."
    )
    if beyond:
        message += f" As before, we do not promise what we cannot do: {clip(listed(beyond), 2000)}."
    return Turn(message=message)


def _cto_again(facts: DiscussionFacts, plan: Blueprint) -> Turn:
    if facts.round > 1:
        return Turn(
            message="Settled: small steps on the code that is there, every earlier check runs again, and "
            "the client's own edits stay."
        )
    objections = []
    if any(item.title.startswith(FIELD_TITLE) for item in facts.requirements):
        objections.append(
            f"{plan.many.capitalize()} entered earlier have no value for a new field: it must stay optional."
        )
    return Turn(
        message="We build on what stands there: a new field is a column added to the living database, "
        "everything else is a module of its own beside the old ones. The earlier checks tell us at "
        "once if something breaks.",
        objections=objections,
    )


def decision(facts: DiscussionFacts) -> DecisionRecord:
    plan = understood(facts.requirements, facts.summary)
    objections = [f"No accounts: whoever reaches the page can change the {plan.many}."]
    if facts.continuation:
        return DecisionRecord(
            message="For the record: we extend the app that is there, in small steps, and keep everything "
            "that was entered.",
            options=[
                Option(
                    name="Extend the app in place",
                    in_favour="Entered data and the client's edits stay.",
                    against="Old decisions bind us.",
                ),
                Option(
                    name="Build it anew",
                    in_favour="A clean slate.",
                    against="Everything that was entered would have to be moved.",
                ),
            ],
            objections=objections,
            decision="Extend the app in place. New fields are optional columns, new features are modules "
            "of their own.",
        )
    return DecisionRecord(
        message=f"For the record: “{plan.title}” becomes a small server-rendered web app over one SQLite "
        "file, without accounts.",
        options=[
            Option(
                name="Pages made on the server, Python's standard library and SQLite",
                in_favour="Nothing to install, works without JavaScript and without a network.",
                against="Less lively than an app that runs in the browser.",
            ),
            Option(
                name="A single-page app over a JSON API",
                in_favour="Feels immediate.",
                against="Needs a build step and libraries, for a list and a form.",
            ),
        ],
        objections=[*objections, "Search must not depend on capitals."],
        decision="Pages made on the server, Python's standard library and SQLite. First keeping "
        f"{plan.many}, then seeing, editing and finding them; each step closes only by checks that "
        "failed before it.",
    )


def _beyond(requirements: list[Requirement]) -> list[str]:
    return [
        f"“{item.title.removeprefix(CANNOT_TITLE)}”"
        for item in requirements
        if item.title.startswith(CANNOT_TITLE)
    ]
