"""A small app with a login, forms and an upload, and the checks that prove it: requests and pages alone."""

from typing import Any

import orjson

MANIFEST = orjson.dumps(
    {"profile": "python-stdlib", "start": "exec python3 server.py 2>/dev/null", "health": "/login"}
).decode()

LOGIN = """\
import email.parser, html, http.cookies, http.server, os, secrets, urllib.parse
TOKEN, sessions, notes, files = secrets.token_hex(8), {}, [], []
def page(title, body):
    return ("<!doctype html><html lang=en><meta name=viewport content='width=device-width'>"
        f"<title>{title}</title><h1>{title}</h1>{body}</html>")
class Handler(http.server.BaseHTTPRequestHandler):
    @property
    def user(self):
        cookie = http.cookies.SimpleCookie(self.headers.get("Cookie", ""))
        return sessions.get(cookie["session"].value) if "session" in cookie else None
    def do_GET(self):
        if self.path == "/login":
            return self.answer(200, page("Log in", "<form method=post><input type=hidden name=token "
                f"value={TOKEN}><label>Name <input name=name></label><button>Log in</button></form>"))
        if self.user is None:
            return self.go("/login")
        self.answer(*self.show())
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        form = dict(urllib.parse.parse_qsl(body.decode(errors="replace")))
        if self.path == "/login" and form.get("token") == TOKEN:
            session = secrets.token_hex(8)
            sessions[session] = form["name"]
            return self.go("/", ("Set-Cookie", f"session={session}; HttpOnly; Path=/"))
        if self.user is None:
            return self.answer(403, page("No", "Log in first."))
        self.change(body, form)
    def show(self):
        return 200, page(f"Notes of {html.escape(self.user)}", "")
    def change(self, body, form):
        self.answer(404, page("No", ""))
    def go(self, where, *headers):
        self.answer(303, "", ("Location", where), *headers)
    def answer(self, status, text, *headers):
        self.send_response(status)
        for header in (("Content-Type", "text/html; charset=utf-8"), *headers):
            self.send_header(*header)
        self.end_headers()
        self.wfile.write(text.encode())
"""
NOTES = """\
    def show(self):
        mine = [note for note in notes if note[0] == self.user]
        if self.path.startswith("/notes/"):
            found = mine[int(self.path[7:]):][:1]
            return (200, page("Note", html.escape(found[0][1]))) if found else (404, page("No", ""))
        shown = "".join(f"<li>{html.escape(note)}</li>" for _, note in mine) or "Nothing noted"
        sent = "".join(f"<li>{html.escape(name)} ({size} bytes)</li>" for name, size in files)
        return 200, page(f"Notes of {html.escape(self.user)}", f"<ul>{shown}</ul><ul>{sent}</ul>"
            "<form method=post action=/notes><label>New note <input name=text></label>"
            "<button>Save</button></form><form method=post action=/files enctype=multipart/form-data>"
            "<label>Picture <input type=file name=file></label><button>Send</button></form>"
            "<form method=post action=/forget onsubmit=\\"return confirm('Forget all notes?')\\">"
            "<button>Forget</button></form>")
    def change(self, body, form):
        if self.path == "/notes":
            notes.append((self.user, form["text"]))
            return self.go(f"/notes/{len([note for note in notes if note[0] == self.user]) - 1}")
        if self.path == "/files":
            head = f"Content-Type: {self.headers['Content-Type']}\\r\\n\\r\\n".encode()
            (part,) = email.parser.BytesParser().parsebytes(head + body).get_payload()
            files.append((part.get_filename(), len(part.get_payload(decode=True))))
            return self.go("/")
        notes[:] = [note for note in notes if note[0] != self.user]
        self.go("/")
"""
SERVE = 'http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()\n'
FIRST = LOGIN + SERVE
SECOND = LOGIN.replace(LOGIN[LOGIN.index("    def show") : LOGIN.index("    def go")], NOTES) + SERVE


def logged_in(name: str, visitor: str = "") -> list[dict[str, Any]]:
    """The requests by which somebody logs in."""
    take = {"name": "token", "source": "field", "at": "token"}
    form = {"name": name, "token": "{{token}}"}
    return [
        {"path": "/login", "take": [take], "visitor": visitor},
        {"method": "POST", "path": "/login", "form": form, "expect_status": 303, "visitor": visitor},
    ]


NOTED = {
    "method": "POST",
    "path": "/notes",
    "form": {"text": "<b>milk"},
    "expect_status": 303,
    "take": [{"name": "note", "source": "header", "at": "Location"}],
}
UPLOADED = {
    "method": "POST",
    "path": "/files",
    "files": [{"field": "file", "filename": "a.png", "content": "AP8=", "base64": True, "type": "image/png"}],
    "expect_status": 303,
    "expect_headers": ["Location: /"],
}
LOGIN_CHECKS: list[dict[str, Any]] = [
    {"steps": logged_in("Ada"), "path": "/", "expect_text": "Notes of Ada"},
    {"path": "/", "expect_status": 303, "expect_headers": ["Location: /login"]},
]
NOTES_CHECKS: list[dict[str, Any]] = [
    {"steps": [*logged_in("Ada"), NOTED], "path": "{{note}}", "expect_text": "&lt;b&gt;milk"},
    {"steps": [*logged_in("Ada"), NOTED, *logged_in("Bob", "bob"), {"path": "/", "visitor": "bob"}],
     "path": "/", "visitor": "bob", "expect_text": "Nothing noted", "expect_no_text": "milk"},
    {"steps": [*logged_in("Ada"), UPLOADED], "path": "/", "expect_text": "a.png (2 bytes)"},
]  # fmt: skip
PAGE_CHECK: dict[str, Any] = {
    "kind": "page",
    "path": "/login",
    "viewport": {"width": 390, "height": 700},
    "steps": [
        {"action": "fill", "named": "Name", "text": "Ada"},
        {"action": "click", "named": "Log in"},
        {"action": "see", "text": "Nothing noted"},
        {"action": "fill", "named": "New note", "text": "milk"},
        {"action": "click", "named": "Save"},
        {"action": "see", "text": "Note"},
        {"action": "open", "path": "/"},
        {"action": "see", "text": "milk"},
        {"action": "upload", "named": "Picture", "filename": "b.txt", "text": "four"},
        {"action": "click", "named": "Send"},
        {"action": "see", "text": "b.txt (4 bytes)"},
        {"action": "click", "named": "Forget", "dialog": "accept", "says": "Forget all"},
    ],
    "expect_text": "Nothing noted",
    "expect_no_text": "milk",
    "expect_no_overflow": True,
    "expect_clean_console": True,
}
