"""Tokens that were tampered with: none opens a call, a session or a socket."""

import asyncio
import base64
import json
import random
import string
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jose import jwt

from tests.helpers.parts import Parts
from tests.helpers.service import SECRET, Service, serve
from tests.helpers.sockets import open_socket

pytestmark = pytest.mark.campaign

ACCESS, REFRESH = 5_000, 5_000
"""Mutants of each kind of token. Those of access tokens are tried twice: in a call and at a socket."""

AT_ONCE = 8
SEED = 1
TOKEN_LETTERS = string.ascii_letters + string.digits + "-_."
OTHER_LETTERS = "=+/!\"#$%&',;: \t~ÄéА\uff21\u200b\U0001f511"
SPACES = " \t\u00a0\u2003"
"""What a header can carry, so that a mutant comes to the door whichever way it goes."""


@pytest.fixture(scope="module")
async def service(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    async with serve(parts, tmp_path_factory.mktemp("tokens")) as running:
        yield running


class Forger:
    """Makes mutants of one person's token. It knows a valid token of somebody else, and everything but the
    secret: where it signs with the secret, it does so with an algorithm that is not ours."""

    def __init__(self, token: str, of_another: str, dice: random.Random) -> None:
        self._token, self._of_another, self._dice = token, of_another, dice
        self._head, self._payload, self._signature = token.split(".")
        self._claims = jwt.get_unverified_claims(token)
        key = rsa.generate_private_key(65537, 2048)
        self._private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        self._public = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._ways: tuple[Callable[[], str], ...] = (
            self.other_letter,
            self.cut_short,
            self.blown_up,
            self.spaced,
            self.edited,
            self.unsigned,
            self.other_algorithm,
            self.own_key,
            self.public_key_as_secret,
            self.mixed,
        )

    def mutants(self, count: int) -> list[tuple[str, str]]:
        """(how it was made, mutant)."""
        made: list[tuple[str, str]] = []
        while len(made) < count:
            way = self._ways[len(made) % len(self._ways)]
            mutant = way()
            if mutant.strip() not in (self._token, self._of_another):
                made.append((way.__name__, mutant))
        return made

    def other_letter(self) -> str:
        place = self._dice.randrange(len(self._token))
        letter = self._dice.choice(self._dice.choice((TOKEN_LETTERS, OTHER_LETTERS)))
        return self._token[:place] + letter + self._token[place + self._dice.choice((0, 1, 2)) :]

    def cut_short(self) -> str:
        place = self._dice.randrange(1, len(self._token))
        return self._dice.choice((self._token[:place], self._token[place:]))

    def blown_up(self) -> str:
        more = "".join(self._dice.choices(TOKEN_LETTERS, k=self._dice.choice((1, 4, 64, 3000))))
        return self._dice.choice((self._token + more, more + self._token, f"{self._token}.{self._token}"))

    def spaced(self) -> str:
        place = self._dice.randrange(1, len(self._token))
        space = self._dice.choice(SPACES + OTHER_LETTERS) * self._dice.choice((1, 2, 4))
        return self._token[:place] + space + self._token[place:]

    def edited(self) -> str:
        return f"{self._head}.{encoded(self._other_claims())}.{self._signature}"

    def unsigned(self) -> str:
        named = self._dice.choice(("none", "None", "NONE", "nOnE", "", None, ["HS256"], 0))
        head = encoded({"alg": named, "typ": "JWT"})
        claims = self._dice.choice((self._payload, encoded(self._other_claims())))
        return f"{head}.{claims}.{self._dice.choice(('', self._signature))}"

    def other_algorithm(self) -> str:
        algorithm = self._dice.choice(("HS384", "HS512"))
        return jwt.encode(self._other_claims(), SECRET, algorithm=algorithm)

    def own_key(self) -> str:
        """Signed with a key of the forger's, to which the token's header points."""
        head = self._dice.choice(
            (
                {},
                {"kid": "../../../dev/null"},
                {"jku": "http://127.0.0.1/keys"},
                {"jwk": {"kty": "oct", "k": "QQ"}},
            )
        )
        key, algorithm = self._dice.choice(((self._private, "RS256"), ("A" * 32, "HS256"), ("", "HS256")))
        return jwt.encode(self._other_claims(), key, algorithm=algorithm, headers=head)

    def public_key_as_secret(self) -> str:
        return jwt.encode(self._other_claims(), self._public.hex(), algorithm="HS256")

    def mixed(self) -> str:
        """Parts of two valid tokens, or a number of parts that is not three."""
        parts = [*self._token.split("."), *self._of_another.split(".")]
        return ".".join(self._dice.choices(parts, k=self._dice.choice((2, 3, 3, 3, 5))))

    def _other_claims(self) -> dict[str, Any]:
        claim = self._dice.choice(list(self._claims))
        values = (str(uuid4()), "admin", "", None, 2**40, -1, [self._claims[claim]], {"": 1}, True)
        return {**self._claims, claim: self._dice.choice(values)}


def batched(mutants: list[Any]) -> Iterator[list[Any]]:
    for place in range(0, len(mutants), AT_ONCE):
        yield mutants[place : place + AT_ONCE]


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


async def test_no_mutant_of_an_access_token_is_accepted(service: Service) -> None:
    """By a call (401), and by a socket whichever way it brings the token (4001)."""
    ada, eve = await service.person("Ada"), await service.person("Eve")
    job_id = await ada.job()
    mutants = Forger(ada.session["access"], eve.session["access"], random.Random(SEED)).mutants(ACCESS)
    answers: Counter[object] = Counter()
    accepted: list[tuple[str, int, int | None, str]] = []

    async def try_out(number: int, how: str, mutant: str) -> None:
        header = {b"Authorization": f"Bearer {mutant}".encode()}
        status = (await client.get("/api/auth/me/", headers=header)).status_code
        code = await knock(service, job_id, mutant, number)
        answers.update((status, code))
        if (status, code) != (401, 4001):
            accepted.append((how, status, code, mutant))

    async with service.client() as client, aclosing(ada.client), aclosing(eve.client):
        for some in batched([(number, *mutant) for number, mutant in enumerate(mutants)]):
            await asyncio.gather(*(try_out(*one) for one in some))
        assert (await ada.client.get("/api/auth/me/")).status_code == 200
    print(f"\ntokens: {len(mutants)} mutants of an access token, answers {dict(answers)}")
    assert not accepted, accepted[:5]


async def knock(service: Service, job_id: str, token: str, number: int) -> int | None:
    """The code with which the socket is closed. The ways to bring a token take turns, as far as they can
    carry it."""
    url = f"{service.url.replace('http', 'ws', 1)}/ws/jobs/{job_id}/"
    plain = token.isascii() and token.isprintable()
    way = number % 4
    if way == 1 and plain:
        return await refused(url, headers={"Authorization": f"Bearer {token}"})
    if way == 2 and set(token) <= set(TOKEN_LETTERS) and token:
        return await refused(url, subprotocols=["bearer", token])
    if way == 3 and plain:
        return await refused(url, headers={"Cookie": f"boardroom_access={token}", "Origin": service.url})
    return await refused(f"{url}?token={quote(token)}")


async def refused(url: str, **options: Any) -> int | None:
    async with open_socket(url, **options) as socket:
        return await socket.closed()


async def test_no_mutant_of_a_refresh_token_is_accepted(service: Service) -> None:
    """401 for each, and the session is not ended by any: the true token still renews it."""
    ada, eve = await service.person("Ada"), await service.person("Eve")
    mutants = Forger(ada.session["refresh"], eve.session["refresh"], random.Random(SEED)).mutants(REFRESH)
    statuses: Counter[int] = Counter()
    accepted: list[tuple[str, int, str]] = []

    async def try_out(how: str, mutant: str) -> None:
        status = (await renew(client, mutant)).status_code
        statuses[status] += 1
        if status != 401:
            accepted.append((how, status, mutant))

    async with service.client() as client, aclosing(ada.client), aclosing(eve.client):
        for some in batched(mutants):
            await asyncio.gather(*(try_out(*one) for one in some))
        for person in (ada, eve):
            assert (await renew(client, person.session["access"])).status_code == 401
            assert (await renew(client, person.session["refresh"])).status_code == 200
    print(f"\ntokens: {len(mutants)} mutants of a refresh token, answers {dict(statuses)}")
    assert not accepted, accepted[:5]


async def renew(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.post("/api/auth/token/refresh/", json={"refresh": token})
