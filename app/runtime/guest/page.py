"""A page check: a separate program that runs in a clean checkout and uses the app in a headless browser.

Its argument is JSON: `start` and `health` of the manifest, `path`, `steps`, `expect_text`, `expect_selector`.
Exit code 0: the check passed; 1: it failed; 69 (EX_UNAVAILABLE): this box has no browser that starts.
The browser is controlled by the DevTools protocol over a pipe (chromedevtools.github.io/devtools-protocol).
"""

import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import Any

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
WHERE = "/usr/lib/chromium:/usr/local/bin:/usr/bin:/bin"
"""The first folder has Debian's program itself. Its script in /usr/bin needs files in /etc that a box may
lack."""
FLAGS = (
    "--headless",
    "--no-sandbox",  # the box is a sandbox, and does not allow to make another
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--remote-debugging-pipe",
)
NO_BROWSER = 69
START_S, STEP_S, CALL_S = 20.0, 5.0, 20.0
POLL_S = 0.05
ABOVE = 10
"""The pipes' own descriptors are moved to this number or above, because 3 and 4 are the browser's."""
SHOWN_CHARS = 1500

DO = """
((step) => {
  const own = (it) => [it.innerText, it.value, it.placeholder, it.name, it.getAttribute("aria-label")];
  const words = (it) => own(it).concat([...(it.labels ?? [])].map((label) => label.innerText))
    .filter(Boolean).map((said) => said.trim());
  const kind = step.action === "fill" ? "input, textarea, select, [contenteditable]"
    : "button, a, input, summary, label, option, [role], [onclick], li, td, span, div";
  const shown = (it) => it.getClientRects().length > 0;
  const named = () => [...document.querySelectorAll(kind)].filter(shown)
    .find((it) => words(it).includes(step.named));
  const it = step.selector ? document.querySelector(step.selector) : named();
  if (!it || !shown(it)) return false;
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
HOLDS = """
((text, selector) => document.readyState === "complete"
  && (!text || document.body.innerText.includes(text)) && (!selector || !!document.querySelector(selector)))
"""


class Browser:
    """A browser with one tab. It reads commands on its descriptor 3 and writes answers on 4, as JSON that
    ends in a zero byte. Raises OSError if it does not start."""

    def __init__(self, program: str) -> None:
        ends = (fcntl.fcntl(end, fcntl.F_DUPFD, ABOVE) for end in (*os.pipe(), *os.pipe()))
        theirs_in, self._out, self._in, theirs_out = ends
        os.dup2(theirs_in, 3)
        os.dup2(theirs_out, 4)
        folder = f"--user-data-dir={os.environ['HOME']}/browser"
        subprocess.Popen(  # the guest ends it with all processes of the check
            [program, *FLAGS, folder, "about:blank"],
            pass_fds=(3, 4),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.closerange(3, ABOVE)
        os.close(theirs_in)
        os.close(theirs_out)
        self._said = b""
        self._number = 0
        self._session = ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a DevTools command; empty if it failed. Raises OSError if the browser does not
        answer."""
        self._number += 1
        asked: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            asked["sessionId"] = self._session
        os.write(self._out, json.dumps(asked).encode() + b"\0")
        end = time.monotonic() + CALL_S
        while True:
            answer = json.loads(self._next(end))
            if answer.get("id") == self._number:
                result: dict[str, Any] = answer.get("result", {})
                return result

    def _next(self, end: float) -> bytes:
        while b"\0" not in self._said:
            ready, _, _ = select.select([self._in], [], [], max(0.0, end - time.monotonic()))
            piece = os.read(self._in, 65_536) if ready else b""
            if not piece:
                raise TimeoutError("the browser does not answer")
            self._said += piece
        answer, _, self._said = self._said.partition(b"\0")
        return answer

    def value(self, script: str) -> Any:
        """The value of a JavaScript expression in the page; None if it fails or there is no page yet."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        return None if "exceptionDetails" in answer else answer.get("result", {}).get("value")

    def until(self, script: str) -> bool:
        """Whether an expression becomes true within `STEP_S`."""
        end = time.monotonic() + STEP_S
        while self.value(script) is not True:
            if time.monotonic() > end:
                return False
            time.sleep(POLL_S)
        return True


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
    with subprocess.Popen(check["start"], shell=True, stdin=subprocess.DEVNULL) as app:  # noqa: S602
        try:
            if not answers(app, address + check["health"]):
                return told(f"The app did not answer on {check['health']}.", 1)
            return look(browser, address, check)
        except OSError as problem:
            return told(str(problem), 1)
        finally:
            app.kill()


def look(browser: Browser, address: str, check: Any) -> int:
    problem = browser.call("Page.navigate", url=address + check["path"]).get("errorText")
    if problem:
        return told(f"{check['path']} cannot be opened: {problem}", 1)
    browser.until("document.readyState === 'complete'")
    for number, step in enumerate(check["steps"], 1):
        if not browser.until(f"({DO})({json.dumps(step)})"):
            return told(f"Step {number} finds nothing to {step['action']}: {json.dumps(step)}", 1, browser)
    wanted = f"({HOLDS})({json.dumps(check['expect_text'])}, {json.dumps(check['expect_selector'])})"
    if not browser.until(wanted):
        missing = check["expect_text"] or check["expect_selector"]
        return told(f"The page does not show: {missing}", 1, browser)
    return told("The page shows it.", 0)


def answers(app: "subprocess.Popen[bytes]", address: str) -> bool:
    end = time.monotonic() + START_S
    while time.monotonic() < end and app.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).close()  # noqa: S310 - the app's own
        except urllib.error.HTTPError as error:
            error.close()
            if error.code < 500:
                return True
        except OSError:
            pass
        else:
            return True
        time.sleep(POLL_S)
    return False


def told(words: str, code: int, browser: "Browser | None" = None) -> int:
    """Print `words` and the page's text, and return `code`."""
    shown = browser.value("document.body.innerText") if browser else ""
    sys.stdout.write(f"{words}\n{str(shown or '')[:SHOWN_CHARS]}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
