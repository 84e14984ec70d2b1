"""What all pages share: the frame around them, and how values are written for people."""

from datetime import date
from html import escape

from collection import ICON, TAGLINE, TITLE
from web import Response

NOTICES = {"added": "Added.", "changed": "Changes saved.", "removed": "Removed."}


def page(title, body, status=200, notice=""):
    """A whole page. `title` is plain text, `body` is HTML."""
    told = f'<p class="notice" role="status">{NOTICES[notice]}</p>' if notice in NOTICES else ""
    return Response(
        f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<link rel="icon" href="/static/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/static/style.css">
<script src="/static/app.js" defer></script>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header class="masthead">
<a class="brand" href="/"><span class="icon" aria-hidden="true">{escape(ICON)}</span>
<span><strong>{escape(TITLE)}</strong><small>{escape(TAGLINE)}</small></span></a>
</header>
<main id="content">
{told}
{body}
</main>
</body>
</html>
""",
        status,
    )


def shown(field, value):
    """A value as HTML; the empty string for what was not given."""
    if field.kind == "yes_no":
        return f'<span class="flag {"yes" if value else "no"}">{"Yes" if value else "No"}</span>'
    if value is None:
        return ""
    if field.kind == "date":
        day = date.fromisoformat(value)
        return f'<time datetime="{value}">{day.day} {day:%b %Y}</time>'
    if field.kind == "choice":
        tone = field.choices.index(value) % 5 if value in field.choices else 0
        return f'<span class="badge tone-{tone}">{escape(value)}</span>'
    if field.kind == "number":
        return stars(round(value)) if (field.minimum, field.maximum) == (1, 5) else str(value)
    if value.startswith(("https://", "http://")):
        return f'<a href="{escape(value)}" rel="noopener noreferrer">{escape(value)}</a>'
    return escape(value)


def kept(request, owned):
    """The rest of the address's query as hidden fields, so that one form does not undo another."""
    return "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in request.query.items()
        if value and name not in {*owned, "notice"}
    )


def stars(number):
    return f'<span class="stars" role="img" aria-label="{number} of 5">{"★" * number}{"☆" * (5 - number)}</span>'
