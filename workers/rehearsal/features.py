"""The steps in which the generated app grows: which files each brings, and which lines it adds to others.

A step that warns of a risk has a first attempt that runs into it: code that looks right, passes the tests
written with it, and is caught by a check of the Project Manager's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from workers.rehearsal import sources
from workers.rehearsal.blueprint import FIELD_TITLE, Blueprint, Field
from workers.rehearsal.edits import add_after, add_import, add_to_list

Change = Callable[[str], str | None]
"""From a file's text to its new text; None where the text is not as expected."""


@dataclass(frozen=True)
class Feature:
    """`files` are the step's own, by path; `changes` are made to files of earlier steps, whose text as this
    app's builder would have left it is `originals`. `words` say what is done, `lesson` what the first attempt
    overlooked. `tests` are modules."""

    words: str
    files: Mapping[str, str]
    changes: Mapping[str, tuple[Change, ...]]
    tests: tuple[str, ...]
    lesson: str = ""


def feature(ticket: str, plan: Blueprint, *, stumbles: bool) -> Feature | None:
    """The step a ticket's title names; None for a ticket that is not of the cast's making."""
    for prefix, make in _BY_TITLE:
        if ticket.startswith(prefix):
            return make(ticket, plan, stumbles)
    return None


def _keep(_: str, plan: Blueprint, __: bool) -> Feature:
    first = plan.before(plan.added[0]) if plan.added else plan
    templates = (
        "fields.py",
        "store.py",
        "web.py",
        "server.py",
        "tests/__init__.py",
        "tests/samples.py",
        "tests/test_fields.py",
        "tests/test_store.py",
    )
    return Feature(
        f"Fields of {plan.a_one} first, then the database, then a server that answers.",
        {
            "collection.py": sources.collection(first),
            **_templates(*templates),
            "boardroom.json": sources.manifest(),
            ".gitignore": sources.template("gitignore.txt"),
            "README.md": sources.readme(plan),
        },
        {},
        ("test_fields", "test_store"),
    )


def _api(_: str, plan: Blueprint, __: bool) -> Feature:
    return Feature(
        f"The {plan.many} as JSON, with the same rules the forms will use.",
        _templates("listing.py", "api.py", "tests/running.py", "tests/test_api.py"),
        {"server.py": _routes("api")},
        ("test_api",),
    )


def _see(_: str, plan: Blueprint, __: bool) -> Feature:
    return Feature(
        f"The frame, the page with all {plan.many}, and its style sheet.",
        {
            **_templates("layout.py", "pages.py", "assets.py", "static/app.js", "tests/test_pages.py"),
            "static/style.css": sources.style(plan),
            "static/icon.svg": sources.icon(plan),
        },
        {"server.py": (*_routes("assets"), *_routes("pages"))},
        ("test_pages",),
    )


def _edit(_: str, plan: Blueprint, __: bool) -> Feature:
    return Feature(
        f"Forms to add, change and remove {plan.many}; the list gets its links.",
        _templates("forms.py", "tests/test_forms.py"),
        {
            "server.py": _routes("forms"),
            "pages.py": (*_part("forms", "TOOLBAR", "add_link"), *_part("forms", "ACTIONS", "edit_link")),
        },
        ("test_forms", "test_pages"),
    )


_CAPITALS = """
    def test_capitals_make_no_difference_in_any_alphabet(self):
        self.store.add(sample(**{TEXT: "Émile"}))
        self.assertEqual(self.found("émile"), ["Émile"])
        self.assertEqual(self.found("GREEN APPLE"), ["green apple"])
"""


def _find(_: str, plan: Blueprint, stumbles: bool) -> Feature:
    changes: dict[str, tuple[Change, ...]] = {
        "listing.py": _part("search", "NARROWING", "conditions"),
        "pages.py": _part("search", "TOOLBAR", "box"),
    }
    words = f"Search over all texts of {plan.a_one}, word by word, and a box above the list."
    files = _templates("search.py", "tests/test_search.py")
    if stumbles:
        plain = files["search.py"].replace("from words import folded\n", "")
        plain = plain.replace('folded("{name}")', '"{name}"').replace("folded(word)", "word")
        files["search.py"] = plain.replace(", in capitals or not", "")
        return Feature(words, files, changes, ("test_search", "test_pages"))
    files["tests/test_search.py"] = _with_test(files["tests/test_search.py"], _CAPITALS)
    changes["store.py"] = (
        lambda text: add_import(text, "from words import folded"),
        lambda text: add_after(
            text,
            "db.row_factory = sqlite3.Row",
            'db.create_function("folded", 1, folded, deterministic=True)',
        ),
    )
    lesson = (
        "SQLite's instr() compares characters as they are, so “QUIET” is not “quiet”. Lower-casing in SQL "
        "only knows ASCII: I give SQLite a function of Python's that folds capitals in every alphabet, and "
        "a test that holds it to that."
    )
    return Feature(words, _templates("words.py") | files, changes, ("test_search", "test_store"), lesson)


def _field(ticket: str, plan: Blueprint, stumbles: bool) -> Feature | None:
    new = next((field for field in plan.fields if field.label == ticket.removeprefix(FIELD_TITLE)), None)
    if new is None:
        return None
    test = f"test_{new.name}"
    name = new.label.lower()
    lesson = f"I had made {name} required: then nothing that was entered earlier can be saved again."
    if new.kind == "yes_no":
        lesson = f"I had made {name} a choice of yes and no: then what was entered earlier is neither."
    return Feature(
        "One line in collection.py; the form, the cards, the API and the database follow it. And a test "
        f"for {new.label.lower()}.",
        {f"tests/{test}.py": sources.template("tests/test_new_field.py").replace("NEW_FIELD", new.name)},
        {"collection.py": (lambda text: _declare(text, new, stumbles=stumbles),)},
        (test, "test_store", "test_forms"),
        lesson,
    )


def _declare(text: str, new: Field, *, stumbles: bool) -> str | None:
    """The field's line as it ought to be, in place of a wrong one that is there."""
    right = sources.field_line(new)
    wrong = sources.field_line(
        replace(new, kind="choice", choices=("yes", "no"))
        if new.kind == "yes_no"
        else replace(new, required=True)
    )
    if wrong in text:
        return text.replace(wrong, right)
    return add_to_list(text, "FIELDS", wrong if stumbles else right)


_QUOTING = """
    def test_commas_and_quotes_survive(self):
        self.store.add(sample(**{TEXT: 'One, "two"\\nand three'}))
        self.assertIn('One, "two"\\nand three', self.rows()[1])

    def test_nothing_is_run_as_a_formula(self):
        self.store.add(sample(**{TEXT: "=1+1"}))
        self.assertIn("'=1+1", self.rows()[1])
"""


def _export(_: str, plan: Blueprint, stumbles: bool) -> Feature:
    files = _templates("export.py", "tests/test_export.py")
    if stumbles:
        careful = files["export.py"]
        start, end = careful.index("    text = io.StringIO()"), careful.index("    return Response(")
        plain = (
            '    lines = [",".join(field.label for field in FIELDS)]\n'
            '    lines += [",".join(cell(field, item[field.name]) for field in FIELDS) for '
            "item in wanted(request)]\n"
        )
        files["export.py"] = (
            (careful[:start] + plain + careful[end:])
            .replace("text.getvalue()", '"\\n".join(lines)')
            .replace("import csv\nimport io\n", "")
        )
    else:
        files["tests/test_export.py"] = _with_test(files["tests/test_export.py"], _QUOTING)
    return Feature(
        f"A download of the {plan.many} the list shows, with a link beside the search.",
        files,
        {"server.py": _routes("export"), "pages.py": _part("export", "TOOLBAR", "link")},
        ("test_export", "test_pages"),
        "Joining values with commas is no CSV: a title may hold a comma or a quote itself. Python's csv "
        "module knows the rules.",
    )


_ALL_AGAIN = """
    def test_an_empty_choice_shows_everything(self):
        self.store.add(sample())
        for field in filtered_fields():
            self.assertEqual(len(self.shown(**{field.name: ""})), 1)
"""


def _filter(ticket: str, plan: Blueprint, stumbles: bool) -> Feature | None:
    chosen = next((field for field in plan.fields if ticket.endswith(f" by {field.label.lower()}")), None)
    if chosen is None:
        return None
    files = _templates("filters.py", "tests/test_filters.py")
    module = files.pop("filters.py")
    test = files.pop("tests/test_filters.py")
    careful, plain = "if query.get(field.name)", "if field.name in query"
    changes: dict[str, tuple[Change, ...]] = {
        "filters.py": (
            lambda text: text.replace(careful, plain) if stumbles else text.replace(plain, careful),
            lambda text: add_to_list(text, "FILTERED", f'"{chosen.name}",'),
        ),
        "tests/test_filters.py": (lambda text: text if stumbles else _with_test(text, _ALL_AGAIN),),
        "listing.py": _part("filters", "NARROWING", "conditions"),
        "pages.py": _part("filters", "TOOLBAR", "box"),
    }
    return Feature(
        f"A menu for {chosen.label.lower()} above the list; it narrows what the search leaves.",
        {"filters.py": module, "tests/test_filters.py": test},
        changes,
        ("test_filters", "test_search"),
        "“All” sends the field with an empty value, and I took that for a value to look for. Empty means: "
        "no condition.",
    )


_BY_TITLE: tuple[tuple[str, Callable[[str, Blueprint, bool], Feature | None]], ...] = (
    ("Keep ", _keep),
    ("Offer the ", _api),
    ("Show all ", _see),
    ("Add, change and remove ", _edit),
    ("Find ", _find),
    (FIELD_TITLE, _field),
    ("Export the ", _export),
    ("Filter the ", _filter),
)


def _templates(*names: str) -> dict[str, str]:
    return {name: sources.template(name) for name in names}


def _routes(module: str) -> tuple[Change, ...]:
    return (
        lambda text: add_import(text, f"import {module}"),
        lambda text: add_to_list(text, "ROUTES", f"*{module}.ROUTES,"),
    )


def _part(module: str, name: str, part: str) -> tuple[Change, ...]:
    return (
        lambda text: add_import(text, f"import {module}"),
        lambda text: add_to_list(text, name, f"{module}.{part},"),
    )


def _with_test(text: str, test: str) -> str:
    """A test more at the end of the last class."""
    if test.strip() in text:
        return text
    main = "\n\nif __name__ =="
    return text.replace(main, f"{test}{main}", 1) if main in text else text.rstrip("\n") + "\n" + test
