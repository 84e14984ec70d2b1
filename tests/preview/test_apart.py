"""Two apps at the same time in one browser, one of them hostile: the other never notices."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.helpers.parts import Parts
from tests.helpers.previewed import Shown, build
from tests.helpers.service import Person, Service, serve
from tests.preview.browser import PROGRAM, Page, browse

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="There is no Chromium or Chrome on PATH.")

SETTLE = """(async () => {
    document.cookie = "mine=1; Path=/; Max-Age=1000"
    localStorage.setItem("mine", "1")
    const cache = await caches.open("mine")
    await cache.put("/mine", new Response("1"))
    return true
})()"""
"""The victim keeps something in each place."""

ATTACK = """(async () => {
    await navigator.serviceWorker.register("/worker.js", { scope: "/" })
    await navigator.serviceWorker.ready
    const labels = location.hostname.split(".")
    const domains = labels.map((_, at) => labels.slice(at).join("."))
    for (const domain of domains) {
        document.cookie = `mine=stolen; Domain=${domain}; Path=/; Max-Age=34560000`
        for (let at = 0; at < 160; at++)
            document.cookie = `large${at}=${"x".repeat(3900)}; Domain=${domain}; Path=/; Max-Age=34560000`
    }
    localStorage.setItem("mine", "stolen")
    localStorage.setItem("large", "x".repeat(4000000))
    const cache = await caches.open("mine")
    await cache.put("/mine", new Response("stolen"))
    return document.cookie.length
})()"""
"""Cookies for each domain that a browser may take them for, storage, and a service worker."""

LOOK = """(async () => ({
    cookies: (await (await fetch("/seen")).json()).headers.cookie,
    stored: [localStorage.getItem("mine"), localStorage.length],
    cached: await (await (await caches.open("mine")).match("/mine"))?.text(),
    workers: (await navigator.serviceWorker.getRegistrations()).length,
}))()"""
UNHARMED = {"cookies": "mine=1", "stored": ["1", 1], "cached": "1", "workers": 0}


@pytest.fixture
async def hostile(service: Service) -> AsyncIterator[Shown]:
    """An app of another user."""
    mallory = await service.person("Mallory")
    async with build(service, mallory) as found:
        await found.open()
        yield found
    await mallory.client.aclose()


async def opened(page: Page, shown: Shown, title: str = "Books") -> None:
    await page.open(f"{shown.url}/")
    await page.until(f"document.title == '{title}'")


async def test_a_hostile_app_reaches_nothing_of_another(own: Shown, hostile: Shown, tmp_path: Path) -> None:
    async with browse(tmp_path) as page, page.beside() as other:
        await opened(page, own)
        assert await page.value(SETTLE)
        await opened(other, hostile)
        assert await other.value(ATTACK) > 150_000
        assert await page.value(LOOK) == UNHARMED
        await opened(page, own)
        assert await page.value(LOOK) == UNHARMED
        # Its cookies are its own trouble, for one page.
        await opened(other, hostile, "Too many cookies")
        assert "delete them" in await other.value("document.body.innerText")
        await opened(other, hostile)
        assert await page.value(LOOK) == UNHARMED
        # Nor does it reach the service, which is asked by the name `localhost`.
        await page.open(f"http://localhost:{own.port}/healthz")
        assert await page.value("document.cookie") == ""


async def test_on_a_site_that_apps_share_too_many_cookies_last_for_one_page(
    parts: Parts, tmp_path: Path
) -> None:
    """Where an operator's domain makes all apps one site: a hostile app shuts all of them, until each browser
    was told once to delete the cookies of the site."""
    template = "http://{token}.apps.localhost:{port}"
    async with serve(parts, tmp_path / "data", preview_origin=template) as service:
        ada, mallory = await service.person("Ada"), await service.person("Mallory")
        async with build(service, ada) as victim, build(service, mallory) as hostile:
            await victim.open()
            await hostile.open()
            async with browse(tmp_path / "browser") as page, page.beside() as other:
                await opened(page, victim)
                await opened(other, hostile)
                await other.value(ATTACK)
                await opened(page, victim, "Too many cookies")
                await opened(page, victim)
        for person in (ada, mallory):
            await leave(person)


async def leave(person: Person) -> None:
    await person.client.aclose()


async def test_swagger_ui_works_under_its_policy(service: Service, tmp_path: Path) -> None:
    async with browse(tmp_path) as page:
        await page.call("Page.enable")
        await page.call(
            "Page.addScriptToEvaluateOnNewDocument",
            source="window.broken = []; addEventListener('securitypolicyviolation', "
            "event => broken.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`))",
        )
        await page.open(f"{service.url}/docs")
        await page.until("document.querySelectorAll('.opblock').length > 40")
        assert await page.value("broken") == []
