"""The words of `/docs`; its prose is in `description.md`."""

from importlib.resources import files

from app.api.errors import CODES

_ROWS = ["| status | code | meaning |", "| --- | --- | --- |"]
_ROWS += [
    f"| {status} | `{code}` | {meaning} |"
    for code, (status, meaning) in sorted(CODES.items(), key=lambda item: item[1][0])
]

TEXT = (files("app.api") / "description.md").read_text("utf-8").replace("<codes>", "\n".join(_ROWS))

TAGS = [
    {"name": "1 · Authentication", "description": "Register, log in, renew, leave."},
    {"name": "2 · Jobs", "description": "An idea and all that becomes of it."},
    {"name": "3 · Chat history", "description": "What was said; talking goes over the socket."},
    {"name": "4 · Start, continue, retry", "description": "What sets a run going."},
    {"name": "6 · Apps and tickets", "description": "Specification, PRD, backlog. (5 is the socket, above.)"},
    {"name": "7 · Container and files", "description": "The workspace in which the app is built and runs."},
    {"name": "8 · Operations", "description": "For whoever runs the service."},
]
"""In the order of the guide."""
