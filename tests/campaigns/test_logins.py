"""Somebody tries to guess passwords: they are stopped (429), lock nobody else out, and do not learn which
emails have an account (S11)."""

import math
import random
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy import delete

from app.actions.limits import LOGIN, LOGIN_ADDRESS
from app.store.tables import Attempts
from tests.helpers.parts import Parts
from tests.helpers.service import Service, serve

pytestmark = pytest.mark.campaign

WRONG_LOGINS = 1_000
ACCOUNTS = 1_000
PAIRS = 300
SEPARABLE = 3.0
"""Standard deviations of a sign test: chance alone goes beyond in 3 of 1,000 runs."""

PASSWORD = "correct horse battery"
GUESS = "wrong horse battery"
ADA = "ada@example.org"


@pytest.fixture(scope="module")
async def service(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """With one user, whose password is stored as the service itself stores it."""
    async with serve(parts, tmp_path_factory.mktemp("logins")) as running:
        async with running.client() as client:
            account = {"email": ADA, "password": PASSWORD, "name": "Ada"}
            assert (await client.post("/api/auth/register/", json=account)).status_code == 201
        yield running


@pytest.fixture(autouse=True)
async def nothing_counted(service: Service) -> None:
    await forget(service)


async def forget(service: Service) -> None:
    """As if the windows of all limits had passed."""
    async with service.resources.unit() as unit:
        await unit.session.execute(delete(Attempts))


def from_address(service: Service, address: str) -> httpx.AsyncClient:
    return service.client(transport=httpx.AsyncHTTPTransport(local_address=address))


async def log_in(client: httpx.AsyncClient, email: str, password: str = GUESS) -> httpx.Response:
    return await client.post("/api/auth/login/", json={"email": email, "password": password})


async def test_one_account_is_tried(service: Service) -> None:
    """Ten guesses, then 429 even for the right password; its owner logs in from elsewhere meanwhile."""
    answers: Counter[int] = Counter()
    async with from_address(service, "127.0.0.2") as eve, from_address(service, "127.0.0.3") as ada:
        for _ in range(WRONG_LOGINS):
            answer = await log_in(eve, ADA)
            answers[answer.status_code] += 1
            assert answer.status_code == 400 or int(answer.headers["Retry-After"]) > 0
        assert (await log_in(eve, ADA.upper(), PASSWORD)).status_code == 429
        assert (await log_in(ada, ADA, PASSWORD)).status_code == 200
    print(f"\nlogins: {WRONG_LOGINS} wrong ones of one account: {dict(answers)}")
    assert answers == {400: LOGIN.most, 429: WRONG_LOGINS - LOGIN.most}


async def test_many_accounts_are_tried(service: Service) -> None:
    """A hundred guesses from one address, then 429 for every account; other addresses are not concerned."""
    answers: Counter[int] = Counter()
    async with from_address(service, "127.0.0.2") as eve, from_address(service, "127.0.0.3") as ada:
        for number in range(ACCOUNTS):
            answers[(await log_in(eve, f"user{number}@example.org")).status_code] += 1
        assert (await log_in(eve, ADA, PASSWORD)).status_code == 429
        assert (await log_in(ada, ADA, PASSWORD)).status_code == 200
    print(f"\nlogins: one guess at each of {ACCOUNTS} accounts: {dict(answers)}")
    assert answers == {400: LOGIN_ADDRESS.most, 429: ACCOUNTS - LOGIN_ADDRESS.most}


async def test_an_unknown_email_cannot_be_told_from_a_known_one(service: Service) -> None:
    """Both are asked in pairs, in an order thrown each time. How often the known one took longer is judged by
    a sign test, which does not mind how much the times vary on a busy machine. The bytes are the same."""
    dice = random.Random(1)
    took: dict[str, list[float]] = {"known": [], "unknown": [], "unknown, too": []}
    said = set()
    async with service.client() as client:
        for number in range(PAIRS):
            await forget(service)
            emails = {
                "known": ADA,
                "unknown": f"a{number}@example.org",
                "unknown, too": f"b{number}@example.org",
            }
            for name in dice.sample(list(emails), k=3):
                began = time.perf_counter()
                answer = await log_in(client, emails[name])
                took[name].append(time.perf_counter() - began)
                said.add((answer.status_code, answer.text.replace(answer.headers["X-Request-ID"], "")))
    known, unknown, control = took.values()
    found, by_chance = deviations(known, unknown), deviations(control, unknown)
    medians = ", ".join(f"{name} {statistics.median(each) * 1000:.1f} ms" for name, each in took.items())
    print(
        f"\nlogins: {PAIRS} pairs; medians: {medians}; known against unknown {found:+.1f}"
        f" standard deviations, two unknown ones {by_chance:+.1f}"
    )
    assert len(said) == 1
    assert abs(found) < SEPARABLE


def deviations(one: list[float], other: list[float]) -> float:
    """By how many standard deviations `one` was longer more often than half of the times."""
    longer = sum(first > second for first, second in zip(one, other, strict=True))
    return (longer - len(one) / 2) / (math.sqrt(len(one)) / 2)
