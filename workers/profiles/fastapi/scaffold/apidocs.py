"""The page `/docs`: what the API's description says, without a script. FastAPI's own page loads its script
from the internet, and an app may have none."""

import json
from html import escape
from typing import Any

STYLE = """body { font: 1rem/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem }
h2 code { background: #8882; padding: .1em .3em; border-radius: .3em } pre { overflow-x: auto; background: #8881 }
:root { color-scheme: light dark }"""


def page(description: dict[str, Any]) -> str:
    """The page for an OpenAPI description, as `app.openapi()` makes it."""
    title = escape(description["info"]["title"])
    operations = "".join(
        _operation(method, path, operation)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    )
    schemas = "".join(
        f"<h3>{escape(name)}</h3>{_json(schema)}"
        for name, schema in description.get("components", {}).get("schemas", {}).items()
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}: API</title><style>{STYLE}</style><h1>{title}: API</h1>"
        f'<p>For programs: <a href="openapi.json">openapi.json</a></p>{operations}'
        f"{'<h2>Shapes</h2>' if schemas else ''}{schemas}</html>"
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    parts = [f"<h2><code>{method.upper()} {escape(path)}</code> {escape(operation.get('summary', ''))}</h2>"]
    parts += [f"<p>{escape(operation['description'])}</p>"] if "description" in operation else []
    parts += [
        f"<p><code>{escape(each['name'])}</code> in {escape(each['in'])}"
        f"{', required' if each.get('required') else ''}</p>{_json(each.get('schema', {}))}"
        for each in operation.get("parameters", [])
    ]
    body = operation.get("requestBody", {}).get("content", {})
    parts += [f"<p>Body, {escape(kind)}</p>{_json(about.get('schema', {}))}" for kind, about in body.items()]
    parts += [
        f"<p>Answers {escape(status)}: {escape(answer.get('description', ''))}</p>"
        + "".join(_json(about["schema"]) for about in answer.get("content", {}).values() if about.get("schema"))
        for status, answer in operation.get("responses", {}).items()
    ]
    return "".join(parts)


def _json(schema: dict[str, Any]) -> str:
    return f"<pre>{escape(json.dumps(schema, indent=2, ensure_ascii=False))}</pre>"
