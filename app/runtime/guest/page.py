"""A page check: a separate program that runs in a clean checkout and uses the app in a headless browser.

Its argument is JSON: a `PageCheck`, with `start` and `health` of the manifest. Without `start` the app runs
already, at $PORT; then it is only looked at. Exit code 0: the check passed; 1: it failed; 69: this box has no
browser that starts. The last line of the output is `PICTURE` and a JPEG of the page in Base64, if any.
The browser is controlled by the DevTools protocol over a pipe (chromedevtools.github.io/devtools-protocol).
"""

import base64
import contextlib
import fcntl
import http.client
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
WHERE = "/usr/lib/chromium:/usr/local/bin:/usr/bin:/bin"
"""The first folder has Debian's program itself. Its script in /usr/bin needs files in /etc that a box may
lack."""
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-background-networking "
    "--disable-component-update --disable-sync --no-first-run --no-proxy-server --remote-debugging-pipe"
)
"""Without its own sandbox, as the box is one and does not allow to make another."""
NO_BROWSER = 69
START_S, STEP_S, CALL_S = 20.0, 5.0, 20.0
POLL_S = 0.05
ABOVE = 10
"""The pipes' own descriptors are moved to this number or above, because 3 and 4 are the browser's."""
SHOWN_CHARS, MAX_HEARD = 1500, 20
"""Of a page's text, and of a log; the most dialogs, and errors of the console, that are kept."""
PICTURE, MAX_PICTURE, QUALITIES = "PICTURE ", 512 * 1024, (70, 40, 15)

DO = """
((step) => {
  const own = (it) => [it.innerText, it.value, it.placeholder, it.name, it.getAttribute("aria-label")];
  const words = (it) => own(it).concat([...(it.labels ?? [])].map((label) => label.innerText))
    .filter(Boolean).map((said) => said.trim());
  const kind = step.action !== "click" ? "input, textarea, select, [contenteditable]"
    : "button, a, input, summary, label, option, [role], [onclick], li, td, span, div";
  const shown = (it) => it.getClientRects().length > 0 || it.type === "file";
  const named = () => [...document.querySelectorAll(kind)].filter(shown)
    .find((it) => words(it).includes(step.named));
  const it = step.selector ? document.querySelector(step.selector) : named();
  if (!it || !shown(it)) return false;
  if (step.action === "upload") return it.type === "file" ? it : false;
  it.scrollIntoView({ block: "center" });
  if (step.action === "click") { it.click(); return true; }
  it.focus();
  if (it.isContentEditable) { it.textContent = step.text; }
  else {
    const option = it.options && [...it.options].find((each) => each.text.trim() === step.text);
    const value = option ? option.value : step.text;
    Object.getOwnPropertyDescriptor(Object.getPrototypeOf(it), "value").set.call(it, value);
  }
  it.dispatchEvent(new Event("input", { bubbles: true }));
  it.dispatchEvent(new Event("change", { bubbles: true }));
  return true;
})
"""
READY = "document.readyState === 'complete'"
HOLDS = """
((text, selector) => document.readyState === "complete"
  && (!text || document.body.innerText.includes(text)) && (!selector || !!document.querySelector(selector)))
"""
WIDE = """
(() => {
  const page = document.scrollingElement;
  if (!page || page.scrollWidth <= page.clientWidth) return "";
  const sticksOut = (it) => it.getBoundingClientRect().right > page.clientWidth + 1;
  const it = [...document.querySelectorAll("body *")].find(sticksOut);
  const what = it ? `<${it.tagName.toLowerCase()}${it.id ? "#" + it.id : ""}> ${it.innerText ?? ""}` : "";
  return `${page.scrollWidth} px in a window of ${page.clientWidth} px ${what.slice(0, 100)}`.trim();
})()
"""


class Browser:
    """A browser with one tab. It reads commands on its descriptor 3 and writes answers on 4, as JSON that
    ends in a zero byte. `dialogs` are the messages of those that came up, `errors` what the console said.
    Raises OSError if it does not start."""

    def __init__(self, program: str) -> None:
        ends = (fcntl.fcntl(end, fcntl.F_DUPFD, ABOVE) for end in (*os.pipe(), *os.pipe()))
        theirs_in, self._out, self._in, theirs_out = ends
        os.dup2(theirs_in, 3)
        os.dup2(theirs_out, 4)
        self._folder = tempfile.mkdtemp(dir=os.environ["HOME"])
        subprocess.Popen(  # the guest ends it with all processes of the check
            [program, *FLAGS.split(), f"--user-data-dir={self._folder}/browser", "about:blank"],
            pass_fds=(3, 4),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.closerange(3, ABOVE)
        os.close(theirs_in)
        os.close(theirs_out)
        self.dialogs: list[str] = []
        self.errors: list[str] = []
        self.opened, self.reply = 0, (True, "")
        """How many dialogs have come up, and what they are answered: accepted or not, and with which text."""
        self._said = b""
        self._number = 0
        self._session = ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a DevTools command; empty if it failed. Raises OSError if the browser does not
        answer."""
        number = self._send(method, parameters)
        end = time.monotonic() + CALL_S
        while True:
            answer = json.loads(self._next(end))
            if answer.get("id") == number:
                result: dict[str, Any] = answer.get("result", {})
                return result
            self._hear(answer.get("method"), answer.get("params", {}))

    def _send(self, method: str, parameters: Any) -> int:
        self._number += 1
        asked: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            asked["sessionId"] = self._session
        os.write(self._out, json.dumps(asked).encode() + b"\0")
        return self._number

    def _next(self, end: float) -> bytes:
        while b"\0" not in self._said:
            ready, _, _ = select.select([self._in], [], [], max(0.0, end - time.monotonic()))
            piece = os.read(self._in, 65_536) if ready else b""
            if not piece:
                raise TimeoutError("the browser does not answer")
            self._said += piece
        answer, _, self._said = self._said.partition(b"\0")
        return answer

    def _hear(self, event: Any, about: dict[str, Any]) -> None:
        said = ""
        if event == "Page.javascriptDialogOpening":
            self.dialogs = [*self.dialogs, about.get("message", "")[:500]][-MAX_HEARD:]
            self.opened += 1
            accept, text = self.reply
            self._send("Page.handleJavaScriptDialog", {"accept": accept, "promptText": text})
        elif event == "Runtime.exceptionThrown":
            details = about.get("exceptionDetails", {})
            said = details.get("exception", {}).get("description") or details.get("text")
        elif event == "Runtime.consoleAPICalled" and about.get("type") in ("error", "assert"):
            said = " ".join(str(each.get("value", each.get("description"))) for each in about["args"])
        elif event == "Log.entryAdded" and about["entry"].get("level") == "error":
            where = about["entry"].get("url", "")
            said = "" if where.endswith("/favicon.ico") else f"{about['entry'].get('text')} {where}"
        if said and len(self.errors) < MAX_HEARD:
            self.errors.append(" ".join(said.split())[:500])

    def evaluate(self, script: str, **how: Any) -> dict[str, Any]:
        """The value of a JavaScript expression in the page as DevTools describe it; empty if it fails or
        there is no page yet."""
        answer = self.call("Runtime.evaluate", expression=script, **how)
        found: dict[str, Any] = {} if "exceptionDetails" in answer else answer.get("result", {})
        return found

    def value(self, script: str) -> Any:
        return self.evaluate(script, returnByValue=True).get("value")

    def until(self, holds: Callable[[], bool]) -> bool:
        """Whether it holds within `STEP_S`."""
        end = time.monotonic() + STEP_S
        while not holds():
            if time.monotonic() > end:
                return False
            time.sleep(POLL_S)
        return True

    def shows(self, text: str, selector: str, *, wanted: bool = True) -> bool:
        """Whether the page shows the text and the element, or comes to that; or the opposite of it."""
        asked = f"({HOLDS})({json.dumps(text)}, {json.dumps(selector)})"
        return self.until(lambda: self.value(asked) is wanted)

    def open(self, address: str) -> str:
        """Open a page; returns why it cannot be opened, "" if it can."""
        problem = self.call("Page.navigate", url=address).get("errorText", "")
        self.until(lambda: self.value(READY) is True)
        return str(problem)

    def upload(self, step: Any) -> bool:
        found = self.evaluate(f"({DO})({json.dumps(step)})").get("objectId")
        if found is None:
            return False
        path = f"{tempfile.mkdtemp(dir=self._folder)}/{step['filename']}"
        with open(path, "w", encoding="utf-8") as file:
            file.write(step["text"])
        self.call("DOM.setFileInputFiles", files=[path], objectId=found)
        return True

    def picture(self) -> bytes:
        """A JPEG of the page, of at most `MAX_PICTURE` bytes; empty if there is none."""
        for quality in QUALITIES:
            shot = self.call("Page.captureScreenshot", format="jpeg", quality=quality).get("data", "")
            if shot and len(shot) * 3 // 4 <= MAX_PICTURE:
                return base64.b64decode(shot)
        return b""


def main() -> int:
    check = json.loads(sys.argv[1])
    program = next(filter(None, (shutil.which(name, path=WHERE) for name in BROWSERS)), None)
    if program is None:
        return told("There is no browser in this box.", NO_BROWSER)
    try:
        browser = Browser(program)
    except OSError as problem:
        return told(f"The browser of this box does not start: {problem}", NO_BROWSER)
    address = f"http://127.0.0.1:{os.environ['PORT']}"
    try:
        if check["start"]:
            code = with_app(browser, address, check)
        else:
            code = show(browser, address + check["path"], check["viewport"])
    except OSError as problem:
        return told(str(problem), 1)
    with contextlib.suppress(OSError):  # a check does not fail for want of its picture
        told(f"{PICTURE}{base64.b64encode(browser.picture()).decode()}", 0)
    return code


def with_app(browser: Browser, address: str, check: Any) -> int:
    """Start the app, do the check, and say what the app printed if that fails."""
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(  # noqa: S602
            check["start"], shell=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        ) as app,
    ):
        try:
            up = answers(app, check["health"])
            failed = do(browser, address, check) if up else f"The app did not answer on {check['health']}."
        finally:
            app.kill()
        if not failed:
            return told("The page shows it.", 0)
        log.seek(max(0, os.fstat(log.fileno()).st_size - SHOWN_CHARS))
        printed = log.read(SHOWN_CHARS).decode(errors="replace").strip()
        told(f"The app printed:\n{printed}\n" if printed else "", 1)
        return told(f"{failed}\n{shown(browser)}", 1)


def do(browser: Browser, address: str, check: Any) -> str:
    """Do the steps of a check; returns what is wrong, "" if nothing is."""
    if check["viewport"]:
        resize(browser, **check["viewport"])
    if problem := browser.open(address + check["path"]):
        return f"{check['path']} cannot be opened: {problem}"
    for number, step in enumerate(check["steps"], 1):
        if problem := wide(browser, check):
            return f"Before step {number} {problem}"
        if problem := take(browser, address, step):
            return f"Step {number} {problem}: {json.dumps({key: step[key] for key in step if step[key]})}"
    if not browser.shows(check["expect_text"], check["expect_selector"]):
        return f"The page does not show: {check['expect_text'] or check['expect_selector']}"
    if (text := check["expect_no_text"]) and not browser.shows(text, "", wanted=False):
        return f"The page shows: {text}"
    if problem := wide(browser, check):
        return f"At the end {problem}"
    if check["expect_clean_console"] and browser.errors:
        return "The console is not clean."
    return ""


def take(browser: Browser, address: str, step: Any) -> str:
    """Take one step; returns why that is not possible, "" if it is."""
    before = browser.opened
    browser.reply = step["dialog"] != "dismiss", step["text"]
    if step["action"] == "open":
        problem = browser.open(address + step["path"])
        return f"cannot open it ({problem})" if problem else ""
    if step["action"] == "see":
        return "" if browser.shows(step["text"], step["selector"]) else "does not see it"
    if step["action"] == "upload":
        done = browser.until(lambda: browser.upload(step))
    else:
        done = browser.until(lambda: browser.value(f"({DO})({json.dumps(step)})") is True)
    if not done:
        return f"finds nothing to {step['action']}"
    if step["dialog"] or step["says"]:
        if not browser.until(lambda: browser.value("1") == 1 and browser.opened > before):
            return "opens no dialog"
        if step["says"] not in browser.dialogs[-1]:
            return f"opens a dialog that says {browser.dialogs[-1]!r}"
    return ""


def resize(browser: Browser, width: int, height: int) -> None:
    how = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.call("Emulation.setDeviceMetricsOverride", **how)


def wide(browser: Browser, check: Any) -> str:
    """What sticks out at the side of the page, if nothing shall."""
    found = browser.value(WIDE) if check["expect_no_overflow"] else ""
    return f"the page is too wide: {found}" if found else ""


def show(browser: Browser, address: str, viewport: Any) -> int:
    """Say what a page looks like in a window of that size."""
    resize(browser, **viewport)
    if problem := browser.open(address):
        return told(f"It cannot be opened: {problem}", 1)
    too_wide = browser.value(WIDE)
    told(f"too wide: {too_wide}" if too_wide else "nothing sticks out at the side", 0)
    return told(shown(browser), 0)


def shown(browser: Browser) -> str:
    """The page's text, its dialogs and what the console said."""
    text = str(browser.value("document.body.innerText") or "")[:SHOWN_CHARS]
    dialogs = [f"dialog: {said[:200]}" for said in browser.dialogs]
    return "\n".join([*dialogs, *(f"console: {said}" for said in browser.errors), text])


def answers(app: "subprocess.Popen[bytes]", health: str) -> bool:
    end = time.monotonic() + START_S
    while time.monotonic() < end and app.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", int(os.environ["PORT"]), timeout=5)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("GET", health)
            if connection.getresponse().status < 500:
                return True
        time.sleep(POLL_S)
    return False


def told(words: str, code: int) -> int:
    sys.stdout.write(f"{words}\n" if words else "")
    return code


if __name__ == "__main__":
    sys.exit(main())
