"""The stories the cast knows, each with criteria whose checks fail before it is built and pass after it."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import dedent

from pydantic import JsonValue

from app.domain.ticket import CommandCheck, HttpCheck
from workers.llm.rehearsal.blueprint import FIELD_TITLE, Blueprint, Field
from workers.llm.rehearsal.words import listed


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
        f"The fields of {plan.a_one} ({listed([field.label for field in plan.fields])}) in `collection.py`, their rules in `fields.py` "
        "(`clean(FIELDS, typed)` returns values and messages), the SQLite database in `store.py` (`Store(path)` with add, get, find, "
        "change, remove), and a server that starts from `boardroom.json` and answers on `/health`.",
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
                f"{plan.a_one.capitalize()} without {heading.label.lower()} is refused with a message that says so",
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
            Criterion("An empty collection is an empty list", HttpCheck(id="c", criterion=0, path=every, expect_json={"items": [], "total": 0})),
            Criterion(f"A new {plan.one} is accepted and answered", post(every, sample(plan), 201, str(sample(plan)[heading.name]))),
            Criterion(f"{plan.a_one.capitalize()} without {heading.label.lower()} is refused", post(every, {}, 422, f"{heading.label} is required.")),
            Criterion(
                f"Asking for {plan.a_one} that does not exist says so",
                HttpCheck(id="c", criterion=0, path=f"{every}/999", expect_status=404, expect_text=f"There is no {plan.one} 999."),
            ),
            Criterion("The tests of the API pass", tests("test_api")),
        ),
        after=(keep_title(plan),),
    )  # fmt: skip


def _see(plan: Blueprint, requirement: str) -> Story:
    heading = plan.fields[0].name
    return Story(
        see_title(plan),
        f"The page at `/`: the number of {plan.many} and all of them as cards with their values, newest first. Own style sheet, no foreign "
        "content, light and dark, one column on a phone. Whatever people typed is text, never HTML.",
        "On the screen",
        (requirement,),
        (
            Criterion(f"Without {plan.many} the page says so", HttpCheck(id="c", criterion=0, path="/", expect_text=f"No {plan.many} yet")),
            Criterion(
                "The page fits a phone and follows light and dark",
                HttpCheck(id="c", criterion=0, path="/static/style.css", expect_text="prefers-color-scheme: dark"),
            ),
            Criterion(
                "What was typed appears as text and never as HTML",
                running(
                    f"""
                    ask("POST", "/api/{plan.table}", {sample(plan, **{heading: "<script>alert(1)</script>"})!r})
                    page = ask("GET", "/")[1]
                    assert "&lt;script&gt;alert(1)" in page and "<script>alert" not in page
                    """
                ),
            ),
            Criterion("The tests of the pages pass", tests("test_pages")),
        ),
        after=(api_title(plan),),
    )  # fmt: skip


def _edit(plan: Blueprint, requirement: str) -> Story:
    heading = plan.fields[0]
    new = f"/{plan.table}/new"
    return Story(
        edit_title(plan),
        f"Forms that work without JavaScript: `{new}`, `/{plan.table}/<id>/edit` and `/{plan.table}/<id>/remove` (which asks first). Every "
        "input has a label; a refused form comes back with status 422, a message at the field and everything that was typed.",
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
    )  # fmt: skip


def _find(plan: Blueprint, requirement: str) -> Story:
    every, heading = f"/api/{plan.table}", plan.fields[0].name
    added = f"""
    for name in ("Émile and the detectives", "A quiet evening"):
        ask("POST", "{every}", {sample(plan)!r} | {{"{heading}": name}})
    def found(words):
        answer = json.loads(ask("GET", "{every}?q=" + urllib.parse.quote(words))[1])
        return [item["{heading}"] for item in answer["items"]]
    """
    return Story(
        find_title(plan),
        f"A search box above the list, and `q` on `/` and `{every}`: every word must occur in one of the texts of {plan.a_one}. "
        "Signs such as % stand for themselves. The list follows while typing, and without JavaScript by a button.",
        "On the screen",
        (requirement,),
        (
            Criterion("There is a search box", HttpCheck(id="c", criterion=0, path="/", expect_text='type="search"')),
            Criterion(
                f"A word finds exactly the {plan.many} that hold it",
                running(added, 'assert found("quiet") == ["A quiet evening"], found("quiet")', 'assert found("nowhere") == []'),
            ),
            Criterion(
                "Capitals make no difference, in any alphabet",
                running(
                    added,
                    'assert found("QUIET") == ["A quiet evening"], found("QUIET")',
                    'assert found("émile") == ["Émile and the detectives"], found("émile")',
                ),
            ),
            Criterion("The tests of the search pass", tests("test_search")),
        ),
        after=(edit_title(plan),),
        risk="SQLite compares bytes; capitals and accented letters are where a first attempt goes wrong.",
    )  # fmt: skip


def field_story(plan: Blueprint, field: Field, requirement: str) -> Story:
    """A field that came later; the database from before it must live on."""
    old = plan.before(field.name)
    every = f"/api/{plan.table}"
    columns = ", ".join(f'"{item.name}"' for item in old.fields)
    empty = False if field.kind == "yes_no" else None
    kept_name = old.fields[0].name
    criteria = [
        Criterion(
            f"The form asks for {field.label.lower()}",
            HttpCheck(id="c", criterion=0, path=f"/{plan.table}/new", expect_text=f'name="{field.name}"'),
        ),
        Criterion(
            f"{plan.many.capitalize()} from before are kept and have no {field.label.lower()}",
            command(
                f"""
                import os, sqlite3
                from store import Store
                os.makedirs("data", exist_ok=True)
                with sqlite3.connect("data/before.db") as old:
                    old.execute('CREATE TABLE "{plan.table}" (id INTEGER PRIMARY KEY, created_at TEXT NOT NULL, {columns})')
                    old.execute('INSERT INTO "{plan.table}" (created_at, "{kept_name}") VALUES (?, ?)', ["2026-01-01", "From before"])
                old.close()
                (item,) = Store("data/before.db").find()
                assert item["{kept_name}"] == "From before" and item["{field.name}"] is {empty!r}, item
                """
            ),
        ),
        Criterion(
            f"{plan.a_one.capitalize()} without {field.label.lower()} is accepted",
            post(every, sample(old), 201, f'"{field.name}": {"false" if empty is False else "null"}'),
        ),
    ]  # fmt: skip
    wrong = _refused(field)
    if wrong:
        value, message = wrong
        criteria.append(
            Criterion(
                f"A wrong {field.label.lower()} is refused",
                post(every, sample(old) | {field.name: value}, 422, message),
            )
        )
    criteria.append(Criterion(f"The tests of {field.label.lower()} pass", tests(f"test_{field.name}")))
    return Story(
        field_title(field),
        f"{plan.a_one.capitalize()} also has {field.label.lower()} ({_told_kind(field)}): in `collection.py`, and with it in the form, on the "
        f"cards, in the API and in every list. The database is extended when the app starts. A test of its own in `tests/test_{field.name}.py`.",
        "Wishes",
        (requirement,),
        tuple(criteria),
        after=(find_title(plan),),
        risk=f"{plan.many.capitalize()} entered earlier have no {field.label.lower()}, and must remain valid without one.",
    )


def export_story(plan: Blueprint, requirement: str) -> Story:
    heading = plan.fields[0]
    path = f"/{plan.table}.csv"
    told = ",".join(field.label for field in plan.fields[:2])
    return Story(
        export_title(plan),
        f"`{path}` answers what the list shows as CSV (UTF-8, a header line with the fields' labels), and the page links to it.",
        "Wishes",
        (requirement,),
        (
            Criterion("The file begins with the names of the fields", HttpCheck(id="c", criterion=0, path=path, expect_text=told)),
            Criterion(
                "Commas and quotes in a value survive",
                running(
                    f"""
                    import csv, io
                    name = 'One, "two" and three'
                    ask("POST", "/api/{plan.table}", {sample(plan)!r} | {{"{heading.name}": name}})
                    rows = list(csv.reader(io.StringIO(ask("GET", "{path}")[1])))
                    assert len(rows) == 2 and rows[1][0] == name, rows
                    """
                ),
            ),
            Criterion("The page offers the download", HttpCheck(id="c", criterion=0, path="/", expect_text=f'href="{path}')),
            Criterion("The tests of the export pass", tests("test_export")),
        ),
        after=(find_title(plan),),
        risk="A value may hold a comma, a quote or a line break.",
    )  # fmt: skip


def filter_story(plan: Blueprint, field: Field, requirement: str) -> Story:
    every, heading = f"/api/{plan.table}", plan.fields[0].name
    one, two = two_values(field)
    asked = "yes" if field.kind == "yes_no" else one
    first = one if field.name == heading else "First"
    added = f"""
    for name, value in (("First", {one!r}), ("Second", {two!r})):
        ask("POST", "{every}", {sample(plan)!r} | {{"{heading}": name}} | {{"{field.name}": value}})
    def shown(**query):
        answer = json.loads(ask("GET", "{every}?" + urllib.parse.urlencode(query))[1])
        return [item["{heading}"] for item in answer["items"]]
    assert shown({field.name}={asked!r}) == [{first!r}], shown({field.name}={asked!r})
    """
    name = field.label.lower()
    return Story(
        filter_title(plan, field),
        f"A menu “{field.label}” above the list, and `{field.name}` on `/` and `{every}`: only {plan.many} with that value are shown. "
        "It works together with the search.",
        "Wishes",
        (requirement,),
        (
            Criterion(f"There is a menu for {name}", HttpCheck(id="c", criterion=0, path="/", expect_text=f'id="filter-{field.name}"')),
            Criterion(f"Only {plan.many} with the chosen {name} are shown", running(added)),
            Criterion(f"“All” shows every one of the {plan.many} again", running(added, f'assert len(shown({field.name}="")) == 2')),
            Criterion(
                "Filter and search work together",
                running(added, f'assert shown({field.name}={asked!r}, q="nowhere") == [], "the search was ignored"'),
            ),
            Criterion(
                "The tests of the filters pass",
                CommandCheck(
                    id="c",
                    criterion=0,
                    run=f"python3 -c 'import filters; assert \"{field.name}\" in filters.FILTERED' && {tests('test_filters').run}",
                ),
            ),
        ),
        after=(find_title(plan),),
        risk="“All” sends an empty value, which is not the same as none.",
    )  # fmt: skip


def command(script: str) -> CommandCheck:
    """A Python script in the checkout; it fails by an assertion."""
    return CommandCheck(
        id="c", criterion=0, run=f"python3 - <<'END'\n{dedent(script).strip()}\nEND", timeout_s=60
    )


def running(*parts: str) -> CommandCheck:
    """The same with the app running: `ask(method, path, body, form)` returns status and text."""
    return command("\n".join(dedent(part).strip() for part in (_RUNNING, *parts)))


_RUNNING = """
import atexit, json, os, subprocess, time, urllib.error, urllib.parse, urllib.request
app = subprocess.Popen("exec " + json.load(open("boardroom.json"))["start"], shell=True)
atexit.register(app.kill)
def ask(method, path, body=None, form=False):
    data = None if body is None else (urllib.parse.urlencode(body) if form else json.dumps(body)).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{os.environ['PORT']}{path}", data, method=method)
    for _ in range(100):
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode("utf-8-sig")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the app does not answer")
"""


def tests(*modules: str) -> CommandCheck:
    return CommandCheck(
        id="c",
        criterion=0,
        run=f"python3 -m unittest {' '.join(f'tests.{name}' for name in modules)}",
        expect_output="OK",
    )


def post(path: str, body: JsonValue, status: int, text: str) -> HttpCheck:
    return HttpCheck(
        id="c", criterion=0, method="POST", path=path, body=body, expect_status=status, expect_text=text
    )


def two_values(field: Field) -> tuple[JsonValue, JsonValue]:
    """Two different valid values."""
    if field.kind == "number":
        low = field.minimum if field.minimum is not None else (field.maximum or 8) - 5
        return _plain(low), _plain(field.maximum if field.maximum is not None else low + 5)
    if field.kind == "yes_no":
        return True, False
    if field.kind == "date":
        return "2026-03-21", "2026-09-01"
    if field.kind == "choice":
        return field.choices[0], field.choices[-1]
    return f"One {field.label.lower()}", f"Another {field.label.lower()}"


def sample(plan: Blueprint, **others: JsonValue) -> dict[str, JsonValue]:
    """A valid item with every field given."""
    return {field.name: two_values(field)[0] for field in plan.fields} | others


def form_sample(plan: Blueprint) -> dict[str, JsonValue]:
    return {name: "yes" if value is True else value for name, value in sample(plan).items()}


def _refused(field: Field) -> tuple[JsonValue, str] | None:
    if field.kind == "number":
        if field.maximum is not None:
            return _plain(field.maximum + 1), f"{field.label} must be at most {field.maximum:g}."
        return "many", f"{field.label} must be a number."
    if field.kind == "date":
        return "yesterday", f"{field.label} must be a date"
    if field.kind == "choice":
        return "none of these", f"{field.label} must be one of"
    return None


def _told_kind(field: Field) -> str:
    if field.choices:
        return f"one of {', '.join(field.choices)}"
    if field.kind == "number" and field.minimum is not None and field.maximum is not None:
        return f"a number from {field.minimum:g} to {field.maximum:g}"
    return {
        "text": "text",
        "note": "long text",
        "number": "a number",
        "date": "a date",
        "yes_no": "yes or no",
        "choice": "a choice",
    }[field.kind]


def _plain(number: float) -> int | float:
    return int(number) if float(number).is_integer() else number
