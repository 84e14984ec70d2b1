"""Sockets are closed when their job is deleted or their session ends."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import delete
from uuid_utils.compat import uuid7

from app import metrics
from app.actions.accounts import logout
from app.actions.jobs import delete_job
from app.api.sockets.codes import Close
from app.store.tables import Job, RefreshToken, User
from tests.helpers.sockets import open_socket
from tests.helpers.waiting import until
from tests.sockets.conftest import TOKENS, OpenWeb, Person, Web, add_job, add_person


async def test_a_deleted_job_closes_its_sockets_at_once(
    start_web: OpenWeb, web: Web, ada: Person, job_id: UUID
) -> None:
    async with start_web(sweep_s=60) as other:
        kept = await add_job(web.resources, ada)
        async with (
            open_socket(other.url(job_id), ada.access) as socket,
            open_socket(other.url(kept), ada.access) as unharmed,
        ):
            await delete_job(web.resources, ada.id, job_id)
            assert await socket.closed(within_s=2) == Close.GONE
            assert await unharmed.pings() == []


async def test_a_deleted_job_is_noticed_without_a_hint(web: Web, ada: Person, job_id: UUID) -> None:
    async with open_socket(web.url(job_id), ada.access) as socket:
        async with web.resources.unit() as unit:
            await unit.session.execute(delete(Job).where(Job.id == job_id))
        assert await socket.closed() == Close.GONE


async def test_a_logout_closes_the_sockets_of_its_session_only(web: Web, ada: Person, job_id: UUID) -> None:
    bob = await add_person(web.resources, "Bob")
    his = await add_job(web.resources, bob)
    token_id, now = uuid7(), datetime.now(UTC).replace(microsecond=0)
    later = now + timedelta(days=1)
    async with web.resources.unit() as unit:
        unit.session.add(RefreshToken(id=token_id, family_id=ada.session_id, issued_at=now, expires_at=later))
    async with (
        open_socket(web.url(job_id), ada.access) as hers,
        open_socket(web.url(his), bob.access) as other,
    ):
        await logout(web.resources, TOKENS, TOKENS.refresh(ada.id, ada.session_id, token_id, now, later))
        assert await hers.closed(within_s=5) == Close.UNAUTHORIZED
        assert await other.pings() == []


async def test_a_deleted_user_is_4001_though_the_job_is_gone_too(web: Web, ada: Person, job_id: UUID) -> None:
    async with open_socket(web.url(job_id), ada.access) as socket:
        async with web.resources.unit() as unit:
            await unit.session.execute(delete(User).where(User.id == ada.id))
        assert await socket.closed(within_s=5) == Close.UNAUTHORIZED


async def test_codes_that_clients_make_up_are_counted_as_one(web: Web, ada: Person, job_id: UUID) -> None:
    def counted() -> dict[str, float]:
        [family] = metrics.sockets_closed.collect()
        return {each.labels["code"]: each.value for each in family.samples if each.name.endswith("_total")}

    before = counted().get("other", 0)
    for code in (3000, 3456, 4999):
        async with open_socket(web.url(job_id), ada.access) as socket:
            await socket.connection.close(code)
    await until(lambda: counted().get("other", 0) == before + 3)
    assert not {"3000", "3456", "4999"} & counted().keys()
