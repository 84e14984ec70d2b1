"""Whole builds of the rehearsal cast, with real apps and checks: each check fails before and passes after the
work, and one attempt of each build fails and is repaired."""

import copy
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from app.domain.ticket import TicketStatus, TicketType
from app.domain.workspace import Manifest
from tests.helpers.ports import free_port
from tests.rehearsal.company import Company, Ticket
from tests.rehearsal.ground import request
from workers.agents.facts import KnownTicket

IDEA = "a reading list for a book club"


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Company:
    company = Company(tmp_path_factory.mktemp("first"), IDEA)
    company.app.mkdir()
    company.talk_it_over()
    company.build(company.plan())
    return company


@pytest.fixture
def company(built: Company, tmp_path: Path) -> Company:
    """The company after its first run, in a folder of its own."""
    again = copy.deepcopy(built)
    again.failures = []
    again.folder = tmp_path
    shutil.copytree(built.app, again.app)
    return again


def stories(tickets: list[Ticket]) -> list[Ticket]:
    return [ticket for ticket in tickets if ticket.draft.type is not TicketType.EPIC]


def assert_proven(tickets: list[Ticket]) -> None:
    """Each criterion is proven by a check that failed before, and exactly one attempt did not pass."""
    done = [ticket for ticket in stories(tickets) if ticket.status is not TicketStatus.SKIPPED]
    assert done
    for ticket in done:
        assert ticket.status is TicketStatus.DONE, ticket.draft.title
        assert ticket.proven == len(ticket.draft.checks), ticket.draft.title
        proven = {check.criterion for check in ticket.draft.checks}
        assert proven == set(range(len(ticket.draft.acceptance_criteria)))
    assert sorted(ticket.attempts for ticket in done) == [1] * (len(done) - 1) + [2]


def assert_all_checks_pass(company: Company) -> None:
    for ticket in company.tickets:
        for check in ticket.draft.checks:
            passed, output = company.run(check)
            assert passed, f"{ticket.draft.title}: {output}"
    assert_own_tests_pass(company)


def assert_own_tests_pass(company: Company) -> None:
    tests = company.shell("python3 -W error -m unittest discover", company.app, 60)
    assert tests.returncode == 0, tests.stdout
    assert "Ran 0 tests" not in tests.stdout


@contextmanager
def running(company: Company) -> Iterator[int]:
    """The app, started by its manifest on this port."""
    manifest = Manifest.model_validate_json((company.app / "boardroom.json").read_text())
    port = free_port()
    app = subprocess.Popen(
        ["sh", "-c", manifest.start],
        cwd=company.app,
        env=company.environment(company.app, port),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert request(port, "GET", manifest.health)[0] == 200
        yield port
    finally:
        os.killpg(app.pid, signal.SIGKILL)
        app.wait()


def test_a_first_run_is_proven_step_by_step_with_one_repair(built: Company) -> None:
    assert_proven(built.tickets)
    assert [failure.criterion for failure in built.failures] == [
        "Capitals make no difference, in any alphabet"
    ]
    assert_own_tests_pass(built)


def test_the_app_keeps_what_was_entered_and_its_data_stay_out_of_git(company: Company) -> None:
    with running(company) as port:
        assert request(port, "POST", "/api/books", {"title": "Dune", "pages": 412})[0] == 201
    with running(company) as port:
        status, text = request(port, "GET", "/api/books")
        assert (status, json.loads(text)["items"][0]["title"]) == (200, "Dune")
        assert "Dune" in request(port, "GET", "/")[1]
    ignored = (company.app / ".gitignore").read_text().split()
    assert "data/" in ignored
    assert (company.app / "data" / "books.db").is_file()


CONTINUATIONS = [
    ("We need to know whether it is signed", ["Another field: Signed"], []),
    ("also export everything as CSV please", ["Export the books as CSV"], []),
    ("filter by status", ["Filter the books by status"], []),
    ("Add payments", [], ["Payments"]),
    pytest.param(
        "Add a genre (crime, fantasy), export as CSV and PDF, and filter by genre. Thanks!",
        [
            "Another field: Genre",
            "Export the books as CSV",
            "Filter the books by genre",
        ],
        ["Export as PDF"],
        marks=pytest.mark.long,
    ),
]


@pytest.mark.parametrize(("wish", "titles", "skipped"), CONTINUATIONS)
def test_a_continuation_grows_the_app_and_keeps_its_data(
    company: Company, wish: str, titles: list[str], skipped: list[str]
) -> None:
    with running(company) as port:
        request(port, "POST", "/api/books", {"title": "From before"})
    before = list(company.tickets)
    tickets = stories(company.build(company.plan(wish)))
    left_out = [ticket for ticket in tickets if ticket.status is TicketStatus.SKIPPED]
    assert [ticket.draft.title for ticket in tickets if ticket not in left_out] == titles
    assert [ticket.draft.title for ticket in left_out] == skipped
    reasons = [ticket.draft.skip_reason for ticket in left_out]
    assert all(reason[0].isupper() and reason.endswith(".") for reason in reasons)
    assert not any("Left out" in reason for reason in reasons), "the closing message says so once for all"
    if titles:
        assert_proven(tickets)
    assert company.tickets[: len(before)] == before
    if len(titles) > 1:
        assert_all_checks_pass(company)
    with running(company) as port:
        assert "From before" in request(port, "GET", "/api/books")[1]
        assert "From before" in request(port, "GET", "/")[1]


def test_one_continuation_after_another(company: Company) -> None:
    for wish in (
        "add a rating from 1 to 5",
        "filter by rating",
        "add the publisher, and filter by publisher",
    ):
        company.build(company.plan(wish), prove=False)
    assert_own_tests_pass(company)
    with running(company) as port:
        for title, rating in (("Dune", 5), ("Emma", 4)):
            request(port, "POST", "/api/books", {"title": title, "rating": rating, "publisher": "Ace"})
        page = request(port, "GET", "/?rating=5&publisher=Ace")[1]
        assert "Dune" in page
        assert "Emma" not in page


def test_the_clients_own_edits_and_files_stay(company: Company) -> None:
    edits = {"pages.py": "\n# The client was here.\n", "static/style.css": "\nh1 { color: teal; }\n"}
    for path, text in edits.items():
        (company.app / path).write_text((company.app / path).read_text() + text)
    (company.app / "collection.py").write_text(
        (company.app / "collection.py").read_text().replace('TAGLINE = "', 'TAGLINE = "Hello! ')
    )
    (company.app / "ideas.txt").write_text("Ask Eva about the next meeting.")
    company.build(company.plan("add a rating from 1 to 5, export as CSV, filter by status"), prove=False)
    assert_own_tests_pass(company)
    for path, text in edits.items():
        assert (company.app / path).read_text().endswith(text)
    assert "Hello! " in (company.app / "collection.py").read_text()
    assert (company.app / "ideas.txt").read_text() == "Ask Eva about the next meeting."


def test_a_file_that_was_rewritten_past_recognition_is_put_right(company: Company) -> None:
    server = company.app / "server.py"
    lines = server.read_text()
    start, end = lines.index("ROUTES = ["), lines.index("]\n")
    joined = "ROUTES = web.ROUTES + api.ROUTES + assets.ROUTES + forms.ROUTES + pages.ROUTES\n"
    server.write_text(lines[:start] + joined + lines[end + 2 :])
    assert_proven(company.build(company.plan("export as CSV")))
    assert_own_tests_pass(company)


def test_a_build_that_broke_off_is_taken_up_where_it_stands(tmp_path: Path) -> None:
    company = Company(tmp_path, "recipes from my grandmother")
    company.app.mkdir()
    company.talk_it_over()
    backlog = company.plan()
    ids = {draft.key: f"{index:04d}" for index, draft in enumerate(backlog.tickets)}
    company.tickets = [Ticket(draft, ids[draft.key]) for draft in backlog.tickets]
    keep, offer, see = stories(company.tickets)[:3]
    company.close(keep, prove=False)
    company.close(offer, prove=False)
    see.status = TicketStatus.FAILED
    again = company.plan("add a rating from 1 to 5")
    keys = {draft.title: draft.key for draft in again.tickets}
    assert keep.draft.title not in keys
    assert keys[see.draft.title] == see.id
    assert "Another field: Rating" in keys
    company.tickets = [keep, offer]
    company.build(again, prove=False)
    assert_own_tests_pass(company)


def test_a_wish_for_a_field_comes_before_anything_is_built(tmp_path: Path) -> None:
    company = Company(tmp_path, "recipes from my grandmother")
    company.app.mkdir()
    company.talk_it_over()
    company.plan()
    assert_proven(company.build(company.plan("add a rating from 1 to 5")))
    assert_own_tests_pass(company)


def test_tickets_that_the_client_wrote_are_taken_up_or_left_out_with_a_reason(tmp_path: Path) -> None:
    company = Company(tmp_path, IDEA)
    company.talk_it_over()
    find = next(draft for draft in company.plan().tickets if draft.title.startswith("Find "))
    ids = {"find": str(uuid4()), "one": str(uuid4()), "two": str(uuid4()), "epic": str(uuid4())}
    titles = {"find": find.title, "one": "Lend a book", "two": "Lend a book", "epic": "Lending"}
    company.by_hand = [
        KnownTicket(
            id=ident,
            type=TicketType.EPIC if name == "epic" else TicketType.TASK,
            title=titles[name],
            status=TicketStatus.TODO,
            requirements=[],
            of_client=True,
            parent="" if name in ("epic", "two") else ids["epic"],
        )
        for name, ident in ids.items()
    ]
    drafts = {draft.key: draft for draft in company.plan("add a rating").tickets}
    assert drafts[ids["find"]].checks
    left_out = [drafts[ids[name]] for name in ("one", "two")]
    assert all("none of them" in draft.skip_reason for draft in left_out)
    assert left_out[0].parent == ids["epic"]
    assert drafts[left_out[1].parent].type is TicketType.EPIC


@pytest.mark.parametrize(
    "idea",
    [
        "each plant has a name, a species, last watered date and needs sun (yes/no)",
        "Every visitor has a date of arrival and a number of bags, export as CSV",
        pytest.param(
            'Maps "of" the <b>world</b>: each größe has an ID, a created at, a q & <b>, price from 5 to 9',
            marks=pytest.mark.long,
        ),
    ],
)
def test_another_idea_is_another_app(idea: str, tmp_path: Path) -> None:
    company = Company(tmp_path, idea)
    company.app.mkdir()
    company.talk_it_over()
    company.build(company.plan(), prove=False)
    assert_own_tests_pass(company)
    if "<b>" in idea:
        assert_all_checks_pass(company)
