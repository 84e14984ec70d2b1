"""Filters: show only the items with a certain value."""

from html import escape

from collection import FIELDS
from layout import kept

FILTERED = [
]


def filtered_fields():
    return [field for field in FIELDS if field.name in FILTERED]


def conditions(query):
    return [
        (f'"{field.name}" = ?', [stored(field, query[field.name])])
        for field in filtered_fields()
        if query.get(field.name)
    ]


def stored(field, value):
    return int(value == "yes") if field.kind == "yes_no" else value


def box(request):
    """A menu for each field."""
    menus = "".join(menu(request, field) for field in filtered_fields())
    rest = kept(request, FILTERED)
    return f"""<form class="filters" action="/" method="get" data-live>{rest}{menus}
<button class="button quiet">Show</button></form>"""


def menu(request, field):
    chosen = request.query.get(field.name, "")
    options = "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>{escape(value)}</option>'
        for value in values(request.store, field)
    )
    return f"""<label for="filter-{field.name}">{escape(field.label)}</label>
<select id="filter-{field.name}" name="{field.name}"><option value="">All</option>{options}</select>"""


def values(store, field):
    if field.kind == "choice":
        return list(field.choices)
    if field.kind == "yes_no":
        return ["yes", "no"]
    return [str(value) for value in sorted(store.counts(field))]
