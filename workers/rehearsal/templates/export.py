"""The collection as CSV, for spreadsheets."""

import csv
import io
from html import escape
from urllib.parse import urlencode

from collection import FIELDS, TABLE
from listing import wanted
from web import Response

FORMULA = ("=", "+", "-", "@", "\t", "\r")


def download(request):
    """What the list shows, with a header line; the mark at the beginning tells Excel that it is UTF-8."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(field.label for field in FIELDS)
    for item in wanted(request):
        writer.writerow(cell(field, item[field.name]) for field in FIELDS)
    return Response(
        text.getvalue().encode("utf-8-sig"),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{TABLE}.csv"'},
    )


def cell(field, value):
    if value is None:
        return ""
    if field.kind == "yes_no":
        return "yes" if value else "no"
    text = str(value)
    if field.kind in ("text", "note") and text.startswith(FORMULA):
        return "'" + text  # a spreadsheet would run it as a formula
    return text


def link(request):
    shown = escape(urlencode({name: value for name, value in request.query.items() if name != "notice"}))
    return f'<a class="button quiet" href="/{TABLE}.csv?{shown}" download>Export as CSV</a>'


ROUTES = [("GET", rf"/{TABLE}\.csv", download)]
