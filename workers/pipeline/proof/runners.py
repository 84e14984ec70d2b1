"""Recognises from a test runner's output whether tests were run, whatever the exit code says."""

import re
from dataclasses import replace

from app.domain.ticket import AnyCheck, CommandCheck
from app.runtime.workspace import CheckResult

_NO_TEST = re.compile(
    r"^(Ran 0 tests|collected 0 items|no tests (ran|collected)|[#ℹ] (tests|pass) 0$|No test files found"
    r"|Ran (\d+) tests? in .*\n+OK \(skipped=\4\)$"
    r"|(=+ )?\d+ (skipped|deselected|tests? collected)(, \d+ (skipped|deselected|warnings?))* in "
    r"|\s*Tests:?\s+\d+ skipped(, \d+ total| \(\d+\))$)",
    re.M | re.I,
)
"""What test runners print when they ran no test, skipped all, or only listed them."""

_RUNNER = re.compile(
    r"(\w+=\S+ )*(python3? -m (unittest|pytest)|pytest|(npx )?vitest run|node --test)(?!\S)"
    r"(?!.*report)[^|&;<>\n]*(2>&1)?"
)
"""A command that consists of a test runner only and does not change how it reports."""

_REPORT = re.compile(r"^Ran [1-9]\d* tests? in |\b[1-9]\d* passed\b|^[#ℹ] pass [1-9]|\[100%\]", re.M)
"""What such a command prints when it has run a test. Without it the code under test may have ended the
process with exit code 0."""


def judged(check: AnyCheck, result: CheckResult) -> CheckResult:
    """The result, failed if it is of a test runner that ran no test."""
    if not result.passed or not isinstance(check, CommandCheck):
        return result
    said = result.output_tail
    silent = _RUNNER.fullmatch(check.run.strip()) and not _REPORT.search(said)
    if not silent and not _NO_TEST.search(said):
        return result
    return replace(result, passed=False, output_tail=f"{said}\nNo test was run.".strip())
