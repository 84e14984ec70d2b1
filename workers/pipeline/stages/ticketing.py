"""The Project Manager plans the tickets: a backlog without cycles in which every requirement is covered.

On a continuation, finished tickets stay. A finished ticket of which a requirement has changed is planned
again; an open ticket of an earlier run may be. Both keep their ids. The other old tickets are deleted. The
new backlog is written in one unit, with `ticketReset` as its first event.
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from uuid import UUID

from uuid_utils.compat import uuid7

from app.actions import changes
from app.actions.planning import Planned, write_ticket
from app.domain.ticket import TicketStatus, TicketType, execution_order
from app.domain.values import clean, parse_id
from app.store import rows
from app.store.tables import Ticket
from workers.agents.ask import ask, facts
from workers.agents.facts import Decided, KnownTicket, TicketingFacts
from workers.agents.outputs import Backlog, TicketDraft, refuse_epics
from workers.agents.roles import PROJECT_MANAGER
from workers.context import Change, Context
from workers.llm.model import Message
from workers.pipeline import spec as specs
from workers.pipeline.enter import end_stage
from workers.pipeline.outcome import Outcome
from workers.pipeline.proof.compared import compare
from workers.pipeline.proof.evidence import checks_of
from workers.pipeline.proof.planned import with_checks
from workers.pipeline.spec import Spec
from workers.pipeline.words import binding
from workers.profiles.catalogue import find

MAX_PARTS = 12
GO_ON = "Go on with the tickets that follow, in the same form."


async def ticketing(context: Context) -> Outcome:
    shown = await _facts(context)
    backlog = await with_checks(context, shown, await _outline(context, shown))
    backlog, compared = await compare(context, shown, backlog)
    async with context.change() as change:
        await _replace(change, backlog)
        compared.tell(change)
        end_stage(change)
    return Outcome.NEXT


async def _outline(context: Context, shown: TicketingFacts) -> Backlog:
    """The tickets, in as many answers as the Project Manager needs, each of which is stored."""
    tickets: list[TicketDraft] = []
    without = [ticket.model_copy(update={"checks": []}) for ticket in shown.known]  # asked for afterwards
    messages = facts(shown.model_copy(update={"known": without}))
    for number in range(MAX_PARTS):
        fits = partial(_fits, shown, tuple(tickets), is_last=number == MAX_PARTS - 1)
        key = f"ticketing.part{number}" if number else "ticketing"
        part = (await ask(context, key, PROJECT_MANAGER, messages, Backlog, fits)).value
        tickets += part.tickets
        if not part.more:
            break
        said = Message("assistant", part.model_dump_json(exclude_defaults=True))
        messages = (*messages, said, Message("user", GO_ON))
    return Backlog(tickets=tickets)


def _fits(shown: TicketingFacts, before: Sequence[TicketDraft], part: Backlog, *, is_last: bool) -> None:
    """Raises ValueError if a part does not fit those before it."""
    whole = Backlog(tickets=[*before, *part.tickets])
    if is_last or not part.more:
        check_backlog(shown, whole)


async def _facts(context: Context) -> TicketingFacts:
    spec = await specs.load(context)
    run = await context.run()
    async with context.turn.left():
        browser = await context.served.browser(context.resources.runtime)
    async with context.glance() as session:
        tickets = await rows.tickets(session, context.job_id)
    assert spec.prd is not None, "the stage before wrote the PRD"
    assert spec.decision is not None, "the discussion ends with the Secretary's record"
    stays = [t for t in tickets if t.status == TicketStatus.DONE and not _is_changed(t, spec)]
    finished = {rid for t in stays for rid in t.requirements}
    return TicketingFacts(
        prd=spec.prd.model_copy(update={"requirements": []}),
        requirements=spec.promised(),
        conversation=await binding(context, spec),
        uncovered=[item.id for item in spec.prd.requirements if item.id not in finished],
        continuation=run.requirements,
        decision=Decided(decision=spec.decision.decision, objections=spec.decision.objections),
        profile=spec.profile,
        stack=find(spec.profile).stack(installs=context.resources.runtime.network != "none"),
        browser=browser,
        known=[_known(ticket, changed=_is_changed(ticket, spec)) for ticket in tickets],
        answer_tokens=context.models.answer_tokens(PROJECT_MANAGER.max_tokens),
    )


def _is_changed(ticket: Ticket, spec: Spec) -> bool:
    """Whether the ticket is done, but for a requirement that has changed since."""
    done = ticket.status == TicketStatus.DONE and ticket.type != TicketType.EPIC
    return done and not set(spec.changed).isdisjoint(ticket.requirements)


def _known(ticket: Ticket, *, changed: bool) -> KnownTicket:
    known = KnownTicket(
        id=str(ticket.id),
        type=TicketType(ticket.type),
        title=ticket.title,
        status=TicketStatus(ticket.status),
        requirements=ticket.requirements,
    )
    if not ticket.of_client and not changed:
        return known
    return known.model_copy(
        update={
            "of_client": ticket.of_client,
            "changed": changed,
            "parent": str(ticket.parent_id or ""),
            "depends_on": ticket.dependencies,
            "description": ticket.description,
            "acceptance_criteria": ticket.acceptance_criteria,
            "checks": checks_of(ticket),
        }
    )


def check_backlog(shown: TicketingFacts, backlog: Backlog) -> None:
    """Rules that the shape cannot check: names that exist, all requirements covered. Raises ValueError."""
    done = {t.id for t in shown.known if t.status is TicketStatus.DONE and not t.changed}
    epics = {t.id for t in shown.known if t.type is TicketType.EPIC}
    open_before = {t.id for t in shown.known} - done
    requirements = {item.id for item in shown.requirements}
    keys = {draft.key for draft in backlog.tickets}
    for draft in backlog.tickets:
        if parse_id(draft.key) is not None and draft.key not in open_before:
            raise ValueError(f"{draft.key}: only an open ticket of the list can be taken up again")
        if unknown := set(draft.depends_on) - keys - done:
            raise ValueError(f"{draft.key}: depends_on names unknown tickets: {', '.join(sorted(unknown))}")
        refuse_epics(draft, epics)
        if draft.parent and draft.parent not in keys | epics:
            raise ValueError(f"{draft.key}: parent {draft.parent} does not exist")
        if unknown := set(draft.requirements) - requirements:
            raise ValueError(f"{draft.key}: unknown requirements: {', '.join(sorted(unknown))}")
    covered = {rid for d in backlog.tickets if d.type is not TicketType.EPIC for rid in d.requirements}
    if missing := set(shown.uncovered) - covered:
        raise ValueError(f"tickets: no ticket covers {', '.join(sorted(missing))}")
    _each_provable(backlog)
    asked = {t.id for t in shown.known if t.of_client and t.type is not TicketType.EPIC}
    if missing := asked - done - keys:
        raise ValueError(f"tickets: the client's own are not taken up: {', '.join(sorted(missing))}")
    if missing := {t.id for t in shown.known if t.changed} - keys:
        raise ValueError(f"tickets: those `changed` are not taken up: {', '.join(sorted(missing))}")


def _each_provable(backlog: Backlog) -> None:
    """A ticket that alone serves several requirements needs a criterion for each. Raises ValueError."""
    work = [draft for draft in backlog.tickets if draft.type is not TicketType.EPIC and not draft.skip_reason]
    times = Counter(rid for draft in work for rid in set(draft.requirements))
    for draft in work:
        alone = sorted(rid for rid in set(draft.requirements) if times[rid] == 1)
        if len(alone) > len(draft.acceptance_criteria):
            raise ValueError(
                f"{draft.key}: it alone serves {', '.join(alone)}: each of them needs a criterion and a check"
            )


async def _replace(change: Change, backlog: Backlog) -> None:
    """Delete old tickets that are not kept, and write the new ones after the kept ones."""
    old = await rows.tickets(change.session, change.job.id)
    by_id = {str(ticket.id): ticket for ticket in old}
    taken_up = {draft.key for draft in backlog.tickets}
    parents = {draft.parent for draft in backlog.tickets}
    kept = _kept(old, taken_up, parents)
    await rows.delete_tickets(change.session, [t.id for t in old if t not in kept])
    changes.tell_backlog_reset(change.unit)
    ids: dict[str, UUID] = {key: ticket.id for key, ticket in by_id.items()}
    ids |= {draft.key: uuid7() for draft in backlog.tickets if draft.key not in ids}
    order = max((ticket.order for ticket in kept), default=0)
    written: list[Ticket] = [ticket for ticket in kept if str(ticket.id) not in taken_up]
    for number, draft in enumerate(_in_order(backlog.tickets), order + 1):
        planned = Planned(
            id=ids[draft.key],
            type=draft.type,
            run_id=change.run.id,
            parent_id=ids[draft.parent] if draft.parent else None,
            dependencies=[str(ids[key]) for key in draft.depends_on],
            order=number,
            assigned_to="",
            skip_reason=draft.skip_reason,
            of_client=False,
        )
        ticket = write_ticket(change.unit, change.job, draft, planned, by_id.get(draft.key))
        await change.session.flush()
        changes.tell_ticket(change.unit, ticket, event="created", **_reason(draft))
        written.append(ticket)
    changes.follow_children(change.unit, change.job, written)


def _in_order(drafts: list[TicketDraft]) -> list[TicketDraft]:
    """Epics first, so that parents exist; then stories and tasks, each after those it depends on."""
    by_key = {draft.key: draft for draft in drafts}
    order = execution_order(
        list(by_key), {draft.key: [key for key in draft.depends_on if key in by_key] for draft in drafts}
    )
    return sorted((by_key[key] for key in order), key=lambda draft: draft.type is not TicketType.EPIC)


def _kept(old: Sequence[Ticket], taken_up: set[str], parents: set[str]) -> list[Ticket]:
    done = [t for t in old if t.status == TicketStatus.DONE and t.type != TicketType.EPIC]
    epics = {t.id for t in old if t.of_client and t.type == TicketType.EPIC}
    needed = {t.parent_id for t in done} | {t.id for t in done} | epics
    return [t for t in old if t.id in needed or str(t.id) in taken_up | parents]


def _reason(draft: TicketDraft) -> dict[str, str]:
    return {"reason": clean(draft.skip_reason)} if draft.skip_reason else {}
