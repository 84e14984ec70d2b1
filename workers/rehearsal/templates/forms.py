"""Adding, changing and removing by hand: pages with forms, which work without JavaScript too."""

from html import escape

from collection import A_ONE, FIELDS, ONE, TABLE
from fields import LONGEST, clean
from layout import page, shown
from web import Problem, redirect

NEW = f"/{TABLE}/new"


def add_link(request):
    return f'<a class="button" href="{NEW}">Add {escape(A_ONE)}</a>'


def edit_link(request, item):
    name = escape(str(item[FIELDS[0].name] or ONE))
    return f'<a href="/{TABLE}/{item["id"]}/edit" aria-label="Edit {name}">Edit</a>'


def new(request):
    return form_page(f"Add {A_ONE}", NEW, {})


def create(request):
    typed = request.form()
    values, errors = clean(FIELDS, typed)
    if errors:
        return form_page(f"Add {A_ONE}", NEW, typed, errors)
    request.store.add(values)
    return redirect("/?notice=added")


def edit(request, item_id):
    item = existing(request, item_id)
    return form_page(f"Edit this {ONE}", request.path, item, removable=item)


def change(request, item_id):
    item = existing(request, item_id)
    typed = request.form()
    values, errors = clean(FIELDS, typed)
    if errors:
        return form_page(f"Edit this {ONE}", request.path, typed, errors, item)
    request.store.change(item["id"], values)
    return redirect("/?notice=changed")


def ask_removal(request, item_id):
    item = existing(request, item_id)
    body = f"""<section class="panel">
<h1>Remove this {escape(ONE)}?</h1>
<p><strong>{shown(FIELDS[0], item[FIELDS[0].name]) or "–"}</strong> will be gone for good.</p>
<form method="post" action="/{TABLE}/{item["id"]}/remove" class="row">
<button class="button danger">Remove</button> <a class="button quiet" href="/{TABLE}/{item["id"]}/edit">Keep it</a>
</form>
</section>"""
    return page(f"Remove this {ONE}?", body)


def remove(request, item_id):
    request.store.remove(existing(request, item_id)["id"])
    return redirect("/?notice=removed")


def existing(request, item_id):
    item = request.store.get(int(item_id))
    if item is None:
        raise Problem(404, f"There is no {ONE} {item_id}.")
    return item


def form_page(title, action, typed, errors=None, removable=None):
    errors = errors or {}
    told = '<p class="alert" role="alert">Please look at the fields marked below.</p>' if errors else ""
    inputs = "\n".join(labelled(field, typed.get(field.name), errors.get(field.name, "")) for field in FIELDS)
    removal = f'<a class="remove" href="/{TABLE}/{removable["id"]}/remove">Remove …</a>' if removable else ""
    body = f"""<section class="panel">
<h1>{escape(title)}</h1>
{told}
<form method="post" action="{escape(action)}" novalidate>
{inputs}
<div class="row"><button class="button">Save</button> <a class="button quiet" href="/">Cancel</a>{removal}</div>
</form>
</section>"""
    return page(title, body, status=422 if errors else 200)


def labelled(field, value, error):
    """A field with its label, and its message if it was refused."""
    needed = ' <span class="needed">required</span>' if field.required else ""
    label = f'<label for="{field.name}">{escape(field.label)}{needed}</label>'
    told = f'<p class="error" id="{field.name}-error">{escape(error)}</p>' if error else ""
    state = f' aria-invalid="true" aria-describedby="{field.name}-error"' if error else ""
    if field.required:
        state += " required"
    if field.kind == "yes_no":
        return f'<div class="field check">{control(field, value, state)}{label}{told}</div>'
    return f'<div class="field">{label}{control(field, value, state)}{told}</div>'


def control(field, value, state):
    text = escape("" if value is None else str(value))
    shared = f'id="{field.name}" name="{field.name}"{state}'
    if field.kind == "note":
        return f'<textarea {shared} rows="4" maxlength="{LONGEST["note"]}">\n{text}</textarea>'
    if field.kind == "choice":
        blank = "" if field.required and value else '<option value="">–</option>'
        options = "".join(
            f"<option{' selected' if choice == value else ''}>{escape(choice)}</option>" for choice in field.choices
        )
        return f"<select {shared}>{blank}{options}</select>"
    if field.kind == "yes_no":
        return f'<input type="checkbox" value="yes" {shared}{" checked" if value in (True, "yes") else ""}>'
    if field.kind == "number":
        least = "" if field.minimum is None else f' min="{field.minimum:g}"'
        most = "" if field.maximum is None else f' max="{field.maximum:g}"'
        return f'<input type="number" step="any" inputmode="decimal" value="{text}" {shared}{least}{most}>'
    if field.kind == "date":
        return f'<input type="date" value="{text}" {shared}>'
    return f'<input type="text" value="{text}" maxlength="{LONGEST["text"]}" autocomplete="off" {shared}>'


EDIT = rf"/{TABLE}/(\d{{1,15}})/edit"
REMOVE = rf"/{TABLE}/(\d{{1,15}})/remove"

ROUTES = [
    ("GET", NEW, new),
    ("POST", NEW, create),
    ("GET", EDIT, edit),
    ("POST", EDIT, change),
    ("GET", REMOVE, ask_removal),
    ("POST", REMOVE, remove),
]
