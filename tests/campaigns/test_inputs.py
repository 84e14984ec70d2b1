"""Any input: requests that schemathesis makes from our own OpenAPI document, some as it says and some broken,
sent by a user who is logged in and who has what the requests ask for."""

import asyncio
import time
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
import pytest
import requests
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from sqlalchemy import delete

from app.domain.values import parse_id
from app.store.tables import Attempts
from tests.helpers.parts import Parts
from tests.helpers.routes import things_of
from tests.helpers.service import Person, Service, serve
from tests.helpers.validating import NotAsDocumented

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the libraries that it imports
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.core.result import Ok

pytestmark = pytest.mark.campaign

AS_DOCUMENTED, BROKEN = 170, 100
"""Cases of each operation; some have fewer different ones."""

LEAST = 10_000
AT_ONCE = 8
"""Operations."""

SLOWEST_S = 5.0
SEED = 1
EACH_SET_OF_THINGS = 10
"""After so many cases there is a new job, because some cases end or delete it."""

MANIFEST = '{"start": "exec python3 -m http.server $PORT", "port": 8000, "health": "/"}'


@pytest.fixture(scope="module")
async def service(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    async with serve(parts, tmp_path_factory.mktemp("inputs")) as running:
        yield running


class Findings(dict[str, str]):
    """What was not as it should be: each kind once, with the first request that showed it."""

    def note(self, operation: str, what: str, request: httpx.Request) -> None:
        shown = f"{request.method} {request.url} {request.headers.raw!r} {request.content[:500]!r}"
        if (kind := f"{operation}: {what[:400]}") not in self:
            self[kind] = shown
            print(f"inputs: {kind}\n    {shown}")


@dataclass
class Things:
    """What the user has, by the names under which requests ask for it. `item` is what `{id}` means."""

    service: Service
    person: Person
    item: str
    box: bool
    ids: dict[str, str] = field(default_factory=dict)
    renewals: int = 0

    async def renew(self) -> None:
        """Another job with its message, app and ticket, every second time a failed one. A job with a box
        stays, because boxes take time to make. The service forgets how often somebody tried to log in."""
        async with self.service.resources.unit() as unit:
            await unit.session.execute(delete(Attempts))
        if self.box and self.ids:
            return
        state = ("collecting", "failed")[self.renewals % 2]
        self.renewals += 1
        self.ids = (await things_of(self.service, self.person, state)).ids
        self.ids["id"] = self.ids[self.item]
        if self.box:
            await self._build()

    async def _build(self) -> None:
        box = await self.service.resources.runtime.attach(UUID(self.ids["job_id"]), create=True)
        await box.save("boardroom.json", MANIFEST.encode())
        await box.save("README.md", b"A reading list")
        await box.close()


@asynccontextmanager
async def things_for(service: Service, person: Person, path: str) -> AsyncIterator[Things]:
    """For the operations of one path."""
    item = next((ITEMS[part] for part in path.split("/") if part in ITEMS), "job_id")
    things = Things(service, person, item, box=path.startswith(BOXES))
    yield things
    if things.box:
        await service.resources.runtime.destroy(UUID(things.ids["job_id"]))


ITEMS = {"tickets": "ticket_id", "apps": "app_id", "job-messages": "message_id"}
"""What `{id}` means in paths with these parts."""

BOXES = tuple(f"/api/jobs/{{job_id}}/{room}/" for room in ("containers", "files", "preview"))
"""Operations on a box begin so."""


async def test_no_input_is_answered_otherwise_than_documented(service: Service) -> None:
    """No 5xx, every status, body and code as documented, every answer within 5 s."""
    statuses: Counter[int] = Counter()
    findings = Findings()
    took: list[float] = []
    at_once, generating = asyncio.Semaphore(AT_ONCE), asyncio.Lock()

    async def try_out(operation: Any) -> None:
        person = await service.person()
        async with at_once, aclosing(person.client), things_for(service, person, operation.path) as things:
            async with generating:
                cases = await asyncio.to_thread(cases_of, operation)
            for number, case in enumerate(cases):
                if number % EACH_SET_OF_THINGS == 0:
                    await things.renew()
                request = as_request(person.client, case, things.ids)
                began = time.monotonic()
                statuses[await send(person.client, request, operation.label, findings)] += 1
                took.append(time.monotonic() - began)

    async with asyncio.TaskGroup() as group:
        for operation in schemathesis.openapi.from_dict(service.application.openapi()).get_all_operations():
            if not isinstance(operation, Ok):
                raise operation.err()
            group.create_task(try_out(operation.ok()))
    late = sum(each > SLOWEST_S for each in took)
    print(
        f"\ninputs: {statuses.total()} cases, answers {dict(sorted(statuses.items()))}, "
        f"slowest {max(took):.2f} s, {late} asked for twice, findings {len(findings)}"
    )
    assert not findings
    assert statuses.total() >= LEAST


def cases_of(operation: Any) -> list[Any]:
    """Different ones: first as documented, then broken, as far as something can be broken."""
    cases: list[Any] = []

    def keep(case: Any) -> None:
        cases.append(case)

    for mode, count in ((GenerationMode.POSITIVE, AS_DOCUMENTED), (GenerationMode.NEGATIVE, BROKEN)):
        each: Any = given(operation.as_strategy(generation_mode=mode))
        repeatable = settings(
            max_examples=count,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        try:
            run: Callable[[], None] = seed(SEED)(repeatable(each(keep)))
            run()
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE, operation.label
    return cases


def as_request(client: httpx.AsyncClient, case: Any, ids: dict[str, str]) -> httpx.Request:
    """The case with the user's token. Ids become those of what the user has; what is no id stays, except in
    bodies, whose ids the document calls just strings."""
    for place in (case.path_parameters, case.query):
        _aim(place, ids, lambda value: isinstance(value, str) and parse_id(value) is not None)
    _aim(case.body, ids, lambda value: isinstance(value, str))
    sent = requests.Request(**case.as_transport_kwargs(base_url=str(client.base_url))).prepare()
    headers = {name: str(value) for name, value in sent.headers.items() if name.lower() not in OURS}
    body = sent.body.encode() if isinstance(sent.body, str) else sent.body
    assert body is None or isinstance(body, bytes)
    return client.build_request(sent.method or "", sent.url or "", headers=headers, content=body)


def _aim(place: Any, ids: dict[str, str], fits: Callable[[object], bool]) -> None:
    if isinstance(place, dict):
        place |= {name: ids[name] for name, value in place.items() if name in ids and fits(value)}


OURS = {"authorization", "content-length", "transfer-encoding", "connection", "accept-encoding"}
"""Headers that the client sets by itself."""


async def send(client: httpx.AsyncClient, request: httpx.Request, operation: str, findings: Findings) -> int:
    """The status. The client holds the answer against the document. What comes too late is asked for once
    more: a busy machine stalls as well, but hardly twice at the same request."""
    status = 0
    for again in (True, False):
        try:
            async with asyncio.timeout(SLOWEST_S):
                status = (await client.send(request)).status_code
            break
        except NotAsDocumented as wrong:
            findings.note(operation, str(wrong), request)
            break
        except TimeoutError:
            if not again:
                findings.note(operation, f"no answer within {SLOWEST_S} s", request)
    if status >= 500 and operation != "GET /readyz":  # which says that there is no worker, as is true here
        findings.note(operation, f"status {status}", request)
    return status
