"""The stories for what a client asks for beyond the basics: a field more, an export, a filter."""

from app.domain.ticket import CommandCheck, HttpCheck
from workers.rehearsal.blueprint import Blueprint, Field
from workers.rehearsal.proofs import command, post, refused, running, sample, tests, two_values
from workers.rehearsal.stories import (
    Criterion,
    Story,
    export_title,
    field_title,
    filter_title,
    find_title,
)


def field_story(plan: Blueprint, field: Field, requirement: str) -> Story:
    """A field that came later; the database from before it must live on."""
    old = plan.before(field.name)
    every = f"/api/{plan.table}"
    columns = ", ".join(
        ["id INTEGER PRIMARY KEY", "created_at TEXT NOT NULL", *(f'"{item.name}"' for item in old.fields)]
    )
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
                row = ["2026-01-01", "From before"]
                with sqlite3.connect("data/before.db") as old:
                    old.execute('CREATE TABLE "{plan.table}" ({columns})')
                    old.execute('INSERT INTO "{plan.table}" (created_at, "{kept_name}") VALUES (?, ?)', row)
                old.close()
                (item,) = Store("data/before.db").find()
                assert item["{kept_name}"] == "From before" and item["{field.name}"] is {empty!r}, item
                """  # noqa: S608 - a script to be run in the box, with names of our own making
            ),
        ),
        Criterion(
            f"{plan.a_one.capitalize()} without {field.label.lower()} is accepted",
            post(every, sample(old), 201, f'"{field.name}": {"false" if empty is False else "null"}'),
        ),
    ]
    wrong = refused(field)
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
        f"{plan.a_one.capitalize()} also has {field.label.lower()} ({_told_kind(field)}): in "
        "`collection.py`, and with it in the form, on the cards, in the API and in every list. The "
        f"database is extended when the app starts. A test of its own in `tests/test_{field.name}.py`.",
        "Wishes",
        (requirement,),
        tuple(criteria),
        after=(find_title(plan),),
        risk=f"{plan.many.capitalize()} entered earlier have no {field.label.lower()}, and must remain "
        "valid without one.",
    )


def export_story(plan: Blueprint, requirement: str) -> Story:
    heading = plan.fields[0]
    path = f"/{plan.table}.csv"
    told = ",".join(field.label for field in plan.fields[:2])
    return Story(
        export_title(plan),
        f"`{path}` answers what the list shows as CSV (UTF-8, a header line with the fields' labels), and "
        "the page links to it.",
        "Wishes",
        (requirement,),
        (
            Criterion(
                "The file begins with the names of the fields",
                HttpCheck(id="c", criterion=0, path=path, expect_text=told),
            ),
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
            Criterion(
                "The page offers the download",
                HttpCheck(id="c", criterion=0, path="/", expect_text=f'href="{path}'),
            ),
            Criterion("The tests of the export pass", tests("test_export")),
        ),
        after=(find_title(plan),),
        risk="A value may hold a comma, a quote or a line break.",
    )


def filter_story(plan: Blueprint, field: Field, requirement: str) -> Story:
    every, heading = f"/api/{plan.table}", plan.fields[0].name
    one, two = two_values(field)
    asked = "yes" if field.kind == "yes_no" else one
    first, second = (one, two) if field.name == heading else ("First", "Second")
    added = f"""
    for name, value in (("First", {one!r}), ("Second", {two!r})):
        ask("POST", "{every}", {sample(plan)!r} | {{"{heading}": name}} | {{"{field.name}": value}})
    def shows(query, *wanted):
        answer = json.loads(ask("GET", "{every}?" + urllib.parse.urlencode(query))[1])
        seen = sorted(item["{heading}"] for item in answer["items"])
        assert seen == sorted(wanted), f"{{query}} shows {{seen}} and not {{sorted(wanted)}}"
    shows({{"{field.name}": {asked!r}}}, {first!r})
    """
    name = field.label.lower()
    return Story(
        filter_title(plan, field),
        f"A menu “{field.label}” above the list, and `{field.name}` on `/` and `{every}`: only {plan.many} "
        "with that value are shown. It works together with the search.",
        "Wishes",
        (requirement,),
        (
            Criterion(
                f"There is a menu for {name}",
                HttpCheck(id="c", criterion=0, path="/", expect_text=f'id="filter-{field.name}"'),
            ),
            Criterion(f"Only {plan.many} with the chosen {name} are shown", running(added)),
            Criterion(
                f"“All” shows every one of the {plan.many} again",
                running(added, f'shows({{"{field.name}": ""}}, {first!r}, {second!r})'),
            ),
            Criterion(
                "Filter and search work together",
                running(
                    added,
                    f'shows({{"{field.name}": {asked!r}, "q": "nowhere"}})',
                ),
            ),
            Criterion(
                "The tests of the filters pass",
                CommandCheck(
                    id="c",
                    criterion=0,
                    run=f'python3 -c \'import filters; assert "{field.name}" in '
                    f"filters.FILTERED' && {tests('test_filters').run}",
                ),
            ),
        ),
        after=(find_title(plan),),
        risk="“All” sends an empty value, which is not the same as none.",
    )


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
