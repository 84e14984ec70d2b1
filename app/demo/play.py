"""Plays a client: an idea, a few answers, then watching until the app is built."""

from collections import Counter
from contextlib import aclosing
from dataclasses import dataclass, field

from app.demo.answers import Interview
from app.demo.client import Client, JobSocket, Json
from app.demo.screen import Screen
from app.domain.conversation import STAGE_REQUIREMENTS
from app.domain.job import FINISHED, Status
from app.domain.ticket import CLOSED, TicketStatus, TicketType

QUIET_S = 15.0
"""After so many seconds without an event during the conversation, `start/` is called."""


@dataclass
class Watch:
    """What is known of the job while it goes on."""

    job_id: str
    status: Status = Status.COLLECTING
    message: str = ""
    tickets: dict[str, Json] = field(default_factory=dict)
    interview: Interview = field(default_factory=Interview)

    @property
    def closed(self) -> int:
        return sum(ticket["status"] in CLOSED for ticket in self.tickets.values())


async def play(url: str, idea: str, screen: Screen) -> Json:
    """Play it on the service at `url`; returns the finished job. Raises Refused."""
    async with Client(url) as client:
        return await _play(client, idea, screen)


async def _play(client: Client, idea: str, screen: Screen) -> Json:
    model = await client.model()
    email, password = await client.register()
    job = await client.create_job(idea)
    watch = Watch(job["id"])
    screen.opening(idea, watch.job_id, email, password, model)
    socket = client.socket(watch.job_id)
    async with aclosing(socket.events(QUIET_S)) as events:
        with screen.live():
            async for event in events:
                await _follow(client, socket, watch, event, screen)
                if watch.status in FINISHED:
                    break
    await _closing(client, watch, screen)
    return await client.job(watch.job_id)


async def _follow(client: Client, socket: JobSocket, watch: Watch, event: Json, screen: Screen) -> None:
    match event["kind"]:
        case "jobStatus":
            watch.status = Status(event["status"])
            watch.message = event["message"]
            screen.status(watch.status, event["message"])
        case "stageUpdate":
            await _message(socket, watch, event, screen)
        case "agentDialogue":
            screen.turn(event["agent"], event["message"])
        case "prdReady":
            screen.prd(event["spec"], event["prdMarkdown"])
        case "ticketReset":
            watch.tickets.clear()
        case "ticketUpdate" if event["type"] != TicketType.EPIC:
            await _ticket(client, watch, event, screen)
        case "error":
            screen.note(event["message"])
        case "quiet" if watch.status is Status.COLLECTING:
            await client.start(watch.job_id)


async def _message(socket: JobSocket, watch: Watch, event: Json, screen: Screen) -> None:
    metadata, content = event["metadata"], event["content"]
    if "ticketId" in metadata:
        return  # shown by `ticketUpdate`
    if metadata.get("stage") != STAGE_REQUIREMENTS:
        screen.note(f"{event['sender']}: {content}")
        return
    by = f" · {metadata['model']}" if "model" in metadata else ""
    screen.bubble(f"{event['sender']}{by}", content, ours=event["role"] == "user")
    if event["role"] == "agent" and watch.status is Status.COLLECTING and "?" in content:
        await socket.say(watch.interview.answer(content))


async def _ticket(client: Client, watch: Watch, event: Json, screen: Screen) -> None:
    before = watch.tickets.get(event["ticketId"])
    watch.tickets[event["ticketId"]] = event
    screen.progress(watch.closed, len(watch.tickets))
    attempt = event["metadata"].get("attempt", 1)
    if before is None or before["status"] == event["status"]:
        if before is not None and attempt > 1:
            screen.again(event["title"], attempt, event["metadata"].get("log", ""))
    elif event["status"] == TicketStatus.IN_PROGRESS:
        screen.working_on(event["title"])
    elif event["status"] in CLOSED:
        evidence = await client.evidence(watch.job_id)
        passed = [
            e for e in evidence if e["ticket_id"] == event["ticketId"] and e["passed"] and e["phase"] != "red"
        ]
        checks = len({e["check"]["id"] for e in passed})
        screen.closed(event["title"], event["status"], event["message"], checks)


async def _closing(client: Client, watch: Watch, screen: Screen) -> None:
    job = await client.job(watch.job_id)
    if watch.status is Status.FAILED:
        screen.failure(job["error_message"], job["failure_code"])
        return
    evidence = await client.evidence(watch.job_id)
    tickets = Counter(ticket["status"] for ticket in watch.tickets.values())
    screen.files(await client.files(watch.job_id))
    screen.totals(job, tickets, evidence)
