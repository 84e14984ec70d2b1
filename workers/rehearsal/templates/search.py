"""Search: every word must occur somewhere in the item, in capitals or not."""

from html import escape

from collection import FIELDS, MANY
from layout import kept
from words import folded

SEARCHED = [field.name for field in FIELDS if field.kind in ("text", "note", "choice")]


def conditions(query):
    return [condition(word) for word in query.get("q", "").split()[:10]]


def condition(word):
    sql = " OR ".join(f'instr(folded("{name}"), ?) > 0' for name in SEARCHED)
    return sql, [folded(word)] * len(SEARCHED)


def box(request):
    value = escape(request.query.get("q", ""))
    return f"""<form class="search" role="search" action="/" method="get" data-live>{kept(request, ["q"])}
<label class="hidden" for="q">Search the {escape(MANY)}</label>
<input type="search" id="q" name="q" value="{value}" placeholder="Search the {escape(MANY)} …" autocomplete="off">
<button class="button quiet">Search</button>
</form>"""
