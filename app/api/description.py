"""The introduction of `/docs`, made of `description.md` and the list of error codes."""

from importlib.resources import files

from app.api.errors import CODES

_ROWS = ["| status | code | meaning |", "| --- | --- | --- |"]
_ROWS += [
    f"| {status} | `{code}` | {meaning} |"
    for code, (status, meaning) in sorted(CODES.items(), key=lambda item: item[1][0])
]

TEXT = (files("app.api") / "description.md").read_text("utf-8").replace("<codes>", "\n".join(_ROWS))

TAGS = [
    {"name": "1 · Authentication", "description": "Register, log in, renew a session, log out."},
    {"name": "2 · Jobs", "description": "A job is an idea and everything that comes of it."},
    {"name": "3 · Chat history", "description": "Stored messages. To chat, use the socket."},
    {"name": "4 · Start, continue, retry", "description": "Calls that start a run."},
    {
        "name": "6 · Apps and tickets",
        "description": "Specification, PRD, tickets. (5 is the socket, described above.)",
    },
    {
        "name": "7 · Container and files",
        "description": "The container in which the app is built and runs, and its files.",
    },
    {"name": "8 · Operations", "description": "For whoever runs the service."},
]
"""In the order in which `/docs` shows them."""
