"""A web process on a real uvicorn, and people who use it over HTTP."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from passlib.hash import argon2
from uuid_utils.compat import uuid7

from app.main import Boardroom
from app.resources import Resources
from app.settings import Settings
from app.store.tables import RefreshFamily, RefreshToken, User
from tests.helpers.parts import Parts, fresh_database
from tests.helpers.serving import serving
from tests.helpers.validating import Validator

SECRET = "a secret for the tests of the API, long enough"
PASSWORD = "correct horse battery"
PASSWORD_HASH = argon2.using(type="ID", memory_cost=64, time_cost=1, parallelism=1).hash(PASSWORD)
"""A hash with cheap parameters, which are part of the hash: verifying it takes no time."""


@dataclass
class Service:
    """One web process. Every answer to its clients is validated against the OpenAPI document."""

    application: Boardroom
    url: str
    validator: Validator

    @property
    def resources(self) -> Resources:
        found: Resources = self.application.state.house.resources
        return found

    def client(self, **options: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self.url,
            event_hooks={"response": [self.validator.hook]},
            timeout=20,
            verify=False,  # there is no TLS here, and loading the machine's certificates takes 30 ms
            **options,
        )

    async def person(self, name: str = "Ada") -> "Person":
        """A user with a session, made as rows, without the time that hashing a password takes."""
        user_id, family_id, token_id = uuid7(), uuid7(), uuid7()
        email, now = f"{user_id}@example.org", datetime.now(UTC).replace(microsecond=0)
        until, tokens = now + timedelta(days=14), self.application.state.house.tokens
        async with self.resources.unit() as unit:
            unit.session.add(User(id=user_id, email=email, name=name, password_hash=PASSWORD_HASH))
            await unit.session.flush()
            unit.session.add(RefreshFamily(id=family_id, user_id=user_id))
            await unit.session.flush()
            unit.session.add(RefreshToken(id=token_id, family_id=family_id, issued_at=now, expires_at=until))
        session = {
            "access": tokens.access(user_id, family_id),
            "refresh": tokens.refresh(user_id, family_id, token_id, now, until),
        }
        client = self.client(headers={"Authorization": f"Bearer {session['access']}"})
        return Person(user_id, email, session, client)


@dataclass
class Person:
    id: UUID
    email: str
    session: dict[str, Any]
    client: httpx.AsyncClient
    jobs: list[str] = field(default_factory=list)

    async def job(self, prompt: str = "A reading list") -> str:
        """Create a job and return its id."""
        answer = await self.client.post("/api/jobs/", json={"prompt": prompt})
        assert answer.status_code == 201, answer.text
        job_id: str = answer.json()["id"]
        return job_id


@asynccontextmanager
async def serve(parts: Parts, data_dir: Path, **settings: Any) -> AsyncIterator[Service]:
    """Start a web process with its own database."""
    async with fresh_database(parts) as database_url:
        given = {
            "database_url": database_url,
            "redis_url": parts.redis_url,
            "secret_key": SECRET,
            "data_dir": data_dir,
            **settings,
        }
        application = Boardroom(Settings(_env_file=None, **given))
        async with serving(application) as (_, port):
            yield Service(application, f"http://127.0.0.1:{port}", _validator(application))


def _validator(application: Boardroom) -> Validator:
    """The OpenAPI document of all web processes here. Settings do not change it, and making it takes 0.5
    s."""
    if not _made:
        _made.append(Validator(json.loads(json.dumps(application.openapi()))))
    return _made[0]


_made: list[Validator] = []
