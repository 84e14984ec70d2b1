"""The page that shows the collection.

TOOLBAR and ACTIONS hold what other features add to it: functions from the request (and, for ACTIONS,
an item) to a piece of HTML.
"""

from html import escape

import listing
from collection import FIELDS, MANY, ONE, TITLE
from layout import page, shown

TOOLBAR = [
]
ACTIONS = [
]


def home(request):
    items = listing.wanted(request)
    toolbar = "\n".join(part(request) for part in TOOLBAR)
    body = f"""{summary(request.store)}
<div class="toolbar">{toolbar}</div>
<div id="list" aria-live="polite">{cards(request, items) if items else nothing(request)}</div>"""
    return page(TITLE, body, notice=request.query.get("notice", ""))


def summary(store):
    """The total, and how the items are spread over the first field with choices."""
    total = len(store.find())
    tiles = [tile(total, ONE if total == 1 else MANY)]
    field = next((field for field in FIELDS if field.kind == "choice"), None)
    if field and total:
        counts = store.counts(field)
        tiles += [tile(counts.get(choice, 0), choice) for choice in field.choices[:4]]
    return f'<h1 class="hidden">{escape(TITLE)}</h1><ul class="tiles">{"".join(tiles)}</ul>'


def tile(number, label):
    return f"<li><strong>{number}</strong> {escape(label)}</li>"


def cards(request, items):
    return f'<ul class="cards">{"".join(card(request, item) for item in items)}</ul>'


def card(request, item):
    heading, *others = FIELDS
    badges = "".join(shown(field, item[field.name]) for field in others if field.kind == "choice")
    notes = "".join(
        f'<p class="note">{shown(field, item[field.name])}</p>'
        for field in others
        if field.kind == "note" and item[field.name]
    )
    facts = "".join(
        f"<div><dt>{escape(field.label)}</dt><dd>{shown(field, item[field.name])}</dd></div>"
        for field in others
        if field.kind not in ("choice", "note") and item[field.name] not in (None, False)
    )
    actions = "".join(part(request, item) for part in ACTIONS)
    return f"""<li class="card">
<div class="heading"><h2>{shown(heading, item[heading.name]) or "–"}</h2>{badges}</div>
{f"<dl>{facts}</dl>" if facts else ""}{notes}
{f'<div class="actions">{actions}</div>' if actions else ""}
</li>"""


def nothing(request):
    if request.store.find():
        return f'<div class="empty"><h2>No {escape(MANY)} match</h2><p>Try other words, or <a href="/">see all</a>.</p></div>'
    return f'<div class="empty"><h2>No {escape(MANY)} yet</h2><p>The first {escape(ONE)} you add appears here.</p></div>'


ROUTES = [("GET", "/", home)]
