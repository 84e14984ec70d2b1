"""The collection as JSON, for scripts and other programs."""

from collection import FIELDS, ONE, TABLE
from fields import clean
from listing import wanted
from web import Problem, as_json


def show_all(request):
    items = wanted(request)
    return as_json({"items": items, "total": len(items)})


def show(request, item_id):
    return as_json(existing(request, item_id))


def create(request):
    return as_json(request.store.add(accepted(request.json())), 201)


def change(request, item_id):
    """What the body does not mention stays as it is."""
    item = existing(request, item_id)
    return as_json(request.store.change(item["id"], accepted(item | request.json())))


def remove(request, item_id):
    item = existing(request, item_id)
    request.store.remove(item["id"])
    return as_json({"removed": item["id"]})


def existing(request, item_id):
    item = request.store.get(int(item_id))
    if item is None:
        raise Problem(404, f"There is no {ONE} {item_id}.")
    return item


def accepted(typed):
    values, errors = clean(FIELDS, typed)
    if errors:
        raise Problem(422, " ".join(errors.values()), errors)
    return values


ALL = f"/api/{TABLE}"
EACH = rf"/api/{TABLE}/(\d{{1,15}})"

ROUTES = [
    ("GET", ALL, show_all),
    ("POST", ALL, create),
    ("GET", EACH, show),
    ("PUT", EACH, change),
    ("DELETE", EACH, remove),
]
