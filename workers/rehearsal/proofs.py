"""Ways to prove a criterion: scripts, requests and tests, and the values they use."""

from textwrap import dedent

from pydantic import JsonValue

from app.domain.ticket import CommandCheck, HttpCheck
from workers.rehearsal.blueprint import Blueprint, Field


def command(script: str) -> CommandCheck:
    """A Python script in the checkout; it fails by an assertion."""
    return CommandCheck(
        id="c", criterion=0, run=f"python3 - <<'END'\n{dedent(script).strip()}\nEND", timeout_s=60
    )


def running(*parts: str) -> CommandCheck:
    """The same with the app running: `ask(method, path, body, form)` returns status and text."""
    return command("\n".join(dedent(part).strip() for part in (_RUNNING, *parts)))


_RUNNING = """
import atexit, json, os, signal, subprocess, time, urllib.error, urllib.parse, urllib.request
app = subprocess.Popen(json.load(open("boardroom.json"))["start"], shell=True, start_new_session=True)
atexit.register(os.killpg, app.pid, signal.SIGKILL)
def ask(method, path, body=None, form=False):
    data = None if body is None else (urllib.parse.urlencode(body) if form else json.dumps(body)).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{os.environ['PORT']}{path}", data, method=method)
    for _ in range(100):
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode("utf-8-sig")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            if app.poll() is not None:
                raise SystemExit("the app has ended by itself")
            time.sleep(0.1)
    raise SystemExit("the app does not answer")
"""


def tests(*modules: str) -> CommandCheck:
    return CommandCheck(
        id="c",
        criterion=0,
        run=f"python3 -m unittest {' '.join(f'tests.{name}' for name in modules)}",
        expect_output="OK",
    )


def post(path: str, body: JsonValue, status: int, text: str) -> HttpCheck:
    return HttpCheck(
        id="c", criterion=0, method="POST", path=path, body=body, expect_status=status, expect_text=text
    )


def two_values(field: Field) -> tuple[JsonValue, JsonValue]:
    """Two different valid values."""
    if field.kind == "number":
        low = field.minimum if field.minimum is not None else (field.maximum or 8) - 5
        return _plain(low), _plain(field.maximum if field.maximum is not None else low + 5)
    if field.kind == "yes_no":
        return True, False
    if field.kind == "date":
        return "2026-03-21", "2026-09-01"
    if field.kind == "choice":
        return field.choices[0], field.choices[-1]
    return f"One {field.label.lower()}", f"Another {field.label.lower()}"


def sample(plan: Blueprint, **others: JsonValue) -> dict[str, JsonValue]:
    """A valid item with every field given."""
    return {field.name: two_values(field)[0] for field in plan.fields} | others


def form_sample(plan: Blueprint) -> dict[str, JsonValue]:
    return {name: "yes" if value is True else value for name, value in sample(plan).items()}


def refused(field: Field) -> tuple[JsonValue, str] | None:
    if field.kind == "number":
        if field.maximum is not None:
            return _plain(field.maximum + 1), f"{field.label} must be at most {field.maximum:g}."
        return "many", f"{field.label} must be a number."
    if field.kind == "date":
        return "yesterday", f"{field.label} must be a date"
    if field.kind == "choice":
        return "none of these", f"{field.label} must be one of"
    return None


def _plain(number: float) -> int | float:
    return int(number) if float(number).is_integer() else number
