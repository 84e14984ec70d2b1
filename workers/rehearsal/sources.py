"""The files of the generated app: templates as they are, and the few that depend on the blueprint."""

import json
from pathlib import Path

from workers.rehearsal.blueprint import Blueprint, Field

TEMPLATES = Path(__file__).parent / "templates"

_TEXTS = {
    str(path.relative_to(TEMPLATES)): path.read_text("utf-8")
    for path in sorted(TEMPLATES.rglob("*"))
    if path.suffix in (".py", ".css", ".js", ".svg", ".txt")
}
"""Read once at import: the cast answers in an event loop."""


def template(name: str) -> str:
    return _TEXTS[name]


def collection(plan: Blueprint) -> str:
    """`collection.py`: the one file that is different in every app."""
    fields = "\n".join(f"    {field_line(field)}" for field in plan.fields)
    return f'''"""What this app is about: its words, and the fields of {plan.a_one}."""

from fields import Field

TITLE = {_literal(plan.title)}
TAGLINE = {_literal(f"All our {plan.many} in one place")}
ICON = {_literal(plan.icon)}
ONE, A_ONE, MANY = {_literal(plan.one)}, {_literal(plan.a_one)}, {_literal(plan.many)}
TABLE = {_literal(plan.table)}

# The first field is the heading of each card. A field added here gets its column when the app starts next.
FIELDS = [
{fields}
]
'''


def field_line(field: Field) -> str:
    """`Field("pages", "Pages", "number", minimum=0),`."""
    parts = [_literal(field.name), _literal(field.label)]
    if field.kind != "text":
        parts.append(_literal(field.kind))
    if field.required:
        parts.append("required=True")
    if field.choices:
        parts.append(
            f"choices=({', '.join(map(_literal, field.choices))}{',' if len(field.choices) == 1 else ''})"
        )
    if field.minimum is not None:
        parts.append(f"minimum={field.minimum:g}")
    if field.maximum is not None:
        parts.append(f"maximum={field.maximum:g}")
    return f"Field({', '.join(parts)}),"


def manifest() -> str:
    told = {
        "profile": "python-stdlib",
        "install": "",
        "test": "python3 -m unittest discover",
        "start": "exec python3 server.py",
        "port": 8000,
        "health": "/health",
    }
    return json.dumps(told, indent=2) + "\n"


def readme(plan: Blueprint) -> str:
    return f"""# {plan.title}

A small web app that keeps {plan.many}: Python's standard library and one SQLite file, nothing to install.

    python3 server.py                     # then open http://127.0.0.1:8000/
    python3 -m unittest discover          # the tests

`PORT`, `HOST` and `DATABASE` may be set in the environment; the database is `data/{plan.table}.db`.

| file | what it is |
| --- | --- |
| `collection.py` | the words and the fields: change these first |
| `fields.py` | kinds of fields and what they accept |
| `store.py` | the database |
| `web.py`, `server.py` | HTTP, and the list of all routes |
| `tests/` | what is promised |
"""


def style(plan: Blueprint) -> str:
    return template("static/style.css").replace("--hue: 250;", f"--hue: {plan.hue};")


def icon(plan: Blueprint) -> str:
    return template("static/icon.svg").replace("ICON", plan.icon)


def _literal(text: str) -> str:
    """As a Python string in double quotes."""
    return json.dumps(text, ensure_ascii=False)
