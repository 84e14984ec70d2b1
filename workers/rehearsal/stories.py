"""The stories the cast knows, each with criteria whose checks fail before it is built and pass after it."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.ticket import CommandCheck, HttpCheck
from workers.rehearsal.blueprint import FIELD_TITLE, Blueprint, Field
from workers.rehearsal.proofs import command, form_sample, post, running, sample, tests
from workers.rehearsal.words import listed


@dataclass(frozen=True)
class Criterion:
    text: str
    check: CommandCheck | HttpCheck


@dataclass(frozen=True)
class Story:
    """`after` are titles of the stories before it; `risk` is what a first attempt may well get wrong."""

    title: str
    description: str
    epic: str
    requirements: tuple[str, ...]
    criteria: tuple[Criterion, ...]
    after: tuple[str, ...] = ()
    risk: str = ""


def keep_title(plan: Blueprint) -> str:
    return f"Keep {plan.many} safely on disk"


def api_title(plan: Blueprint) -> str:
    return f"Offer the {plan.many} to other programs"


def see_title(plan: Blueprint) -> str:
    return f"Show all {plan.many} on one page"


def edit_title(plan: Blueprint) -> str:
    return f"Add, change and remove {plan.many}"


def find_title(plan: Blueprint) -> str:
    return f"Find {plan.many} by words"


def field_title(field: Field) -> str:
    return f"{FIELD_TITLE}{field.label}"


def export_title(plan: Blueprint) -> str:
    return f"Export the {plan.many} as CSV"


def filter_title(plan: Blueprint, field: Field) -> str:
    return f"Filter the {plan.many} by {field.label.lower()}"


def base_stories(plan: Blueprint, requirements: Sequence[str]) -> list[Story]:
    """The five every collection begins with; `requirements` are the ids of keep, see, edit and find."""
    keep, see, edit, find = requirements
    return [_keep(plan, keep), _api(plan, keep), _see(plan, see), _edit(plan, edit), _find(plan, find)]


def _keep(plan: Blueprint, requirement: str) -> Story:
    item = sample(plan)
    heading = plan.fields[0]
    return Story(
        keep_title(plan),
        f"The fields of {plan.a_one} ({listed([field.label for field in plan.fields])}) in `collection.py`, "
        "their rules in `fields.py` (`clean(FIELDS, typed)` returns values and messages), the SQLite "
        "database in `store.py` (`Store(path)` with add, get, find, change, remove), and a server that "
        "starts from `boardroom.json` and answers on `/health`.",
        "Foundation",
        (requirement,),
        (
            Criterion(
                "The app starts from its manifest and says that it is well",
                HttpCheck(id="c", criterion=0, path="/health", expect_json={"status": "ok"}),
            ),
            Criterion(
                f"A stored {plan.one} is still there after a restart",
                command(
                    f"""
                    from store import Store
                    values = {item!r}
                    made = Store("data/check.db").add(values)
                    again = Store("data/check.db").get(made["id"])
                    assert {{name: again[name] for name in values}} == values, again
                    """
                ),
            ),
            Criterion(
                f"{plan.a_one.capitalize()} without {heading.label.lower()} is refused with a message that "
                "says so",
                command(
                    f"""
                    from collection import FIELDS
                    from fields import clean
                    _, errors = clean(FIELDS, {{}})
                    assert errors.get({heading.name!r}) == {f"{heading.label} is required."!r}, errors
                    """
                ),
            ),
            Criterion("The tests of the fields and the store pass", tests("test_fields", "test_store")),
        ),
    )


def _api(plan: Blueprint, requirement: str) -> Story:
    every = f"/api/{plan.table}"
    heading = plan.fields[0]
    return Story(
        api_title(plan),
        f"JSON under `{every}`: GET and POST there, GET, PUT and DELETE on `{every}/<id>`. The list answers "
        "`{items, total}`; a refusal answers `{message, errors}` with 422, what does not exist 404.",
        "Foundation",
        (requirement,),
        (
            Criterion(
                "An empty collection is an empty list",
                HttpCheck(id="c", criterion=0, path=every, expect_json={"items": [], "total": 0}),
            ),
            Criterion(
                f"A new {plan.one} is accepted and answered",
                post(every, sample(plan), 201, str(sample(plan)[heading.name])),
            ),
            Criterion(
                f"{plan.a_one.capitalize()} without {heading.label.lower()} is refused",
                post(every, {}, 422, f"{heading.label} is required."),
            ),
            Criterion(
                f"Asking for {plan.a_one} that does not exist says so",
                HttpCheck(
                    id="c",
                    criterion=0,
                    path=f"{every}/999",
                    expect_status=404,
                    expect_text=f"There is no {plan.one} 999.",
                ),
            ),
            Criterion("The tests of the API pass", tests("test_api")),
        ),
        after=(keep_title(plan),),
    )


def _see(plan: Blueprint, requirement: str) -> Story:
    heading = plan.fields[0].name
    return Story(
        see_title(plan),
        f"The page at `/`: the number of {plan.many} and all of them as cards with their values, newest "
        "first. Own style sheet, no foreign content, light and dark, one column on a phone. Whatever "
        "people typed is text, never HTML.",
        "On the screen",
        (requirement,),
        (
            Criterion(
                f"Without {plan.many} the page says so",
                HttpCheck(id="c", criterion=0, path="/", expect_text=f"No {plan.many} yet"),
            ),
            Criterion(
                "The page fits a phone and follows light and dark",
                HttpCheck(
                    id="c", criterion=0, path="/static/style.css", expect_text="prefers-color-scheme: dark"
                ),
            ),
            Criterion(
                "What was typed appears as text and never as HTML",
                running(
                    f"""
                    values = {sample(plan)!r} | {{"{heading}": "<script>alert(1)</script>"}}
                    ask("POST", "/api/{plan.table}", values)
                    page = ask("GET", "/")[1]
                    assert "&lt;script&gt;alert(1)" in page and "<script>alert" not in page
                    """
                ),
            ),
            Criterion("The tests of the pages pass", tests("test_pages")),
        ),
        after=(api_title(plan),),
    )


def _edit(plan: Blueprint, requirement: str) -> Story:
    heading = plan.fields[0]
    new = f"/{plan.table}/new"
    return Story(
        edit_title(plan),
        f"Forms that work without JavaScript: `{new}`, `/{plan.table}/<id>/edit` and "
        f"`/{plan.table}/<id>/remove` (which asks first). Every input has a label; a refused form comes "
        "back with status 422, a message at the field and everything that was typed.",
        "On the screen",
        (requirement,),
        (
            Criterion(
                "The form asks for every field",
                HttpCheck(id="c", criterion=0, path=new, expect_text=f'name="{plan.fields[-1].name}"'),
            ),
            Criterion(
                f"{plan.a_one.capitalize()} can be added, changed and removed by hand",
                running(
                    f"""
                    values = {form_sample(plan)!r}
                    assert ask("POST", "{new}", values, form=True)[0] in (200, 303)
                    assert values["{heading.name}"] in ask("GET", "/")[1]
                    values["{heading.name}"] = "Renamed"
                    ask("POST", "/{plan.table}/1/edit", values, form=True)
                    assert "Renamed" in ask("GET", "/")[1]
                    ask("POST", "/{plan.table}/1/remove", {{}}, form=True)
                    assert "Renamed" not in ask("GET", "/")[1]
                    """
                ),
            ),
            Criterion(
                "A refused form says why",
                running(
                    f"""
                    status, page = ask("POST", "{new}", {{}}, form=True)
                    assert status == 422 and {f"{heading.label} is required."!r} in page, (status, page)
                    """
                ),
            ),
            Criterion("The tests of the forms pass", tests("test_forms")),
        ),
        after=(see_title(plan),),
    )


def _find(plan: Blueprint, requirement: str) -> Story:
    every, heading = f"/api/{plan.table}", plan.fields[0].name
    added = f"""
    for name in ("Émile and the detectives", "A quiet evening"):
        ask("POST", "{every}", {sample(plan)!r} | {{"{heading}": name}})
    def finds(words, *wanted):
        answer = json.loads(ask("GET", "{every}?q=" + urllib.parse.quote(words))[1])
        seen = [item["{heading}"] for item in answer["items"]]
        assert seen == list(wanted), f"a search for {{words!r}} finds {{seen}} and not {{list(wanted)}}"
    """
    return Story(
        find_title(plan),
        f"A search box above the list, and `q` on `/` and `{every}`: every word must occur in one of the "
        f"texts of {plan.a_one}. Signs such as % stand for themselves. The list follows while typing, and "
        "without JavaScript by a button.",
        "On the screen",
        (requirement,),
        (
            Criterion(
                "There is a search box", HttpCheck(id="c", criterion=0, path="/", expect_text='type="search"')
            ),
            Criterion(
                f"A word finds exactly the {plan.many} that hold it",
                running(
                    added,
                    'finds("quiet", "A quiet evening")',
                    'finds("nowhere")',
                ),
            ),
            Criterion(
                "Capitals make no difference, in any alphabet",
                running(
                    added,
                    'finds("QUIET", "A quiet evening")',
                    'finds("émile", "Émile and the detectives")',
                ),
            ),
            Criterion("The tests of the search pass", tests("test_search")),
        ),
        after=(edit_title(plan),),
        risk="SQLite compares bytes; capitals and accented letters are where a first attempt goes wrong.",
    )
