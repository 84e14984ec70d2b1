"""The words of `/docs`."""

from app.api.errors import CODES

_CODE_ROWS = "\n".join(f"| {status} | `{code}` | {meaning} |" for code, (status, meaning) in CODES.items())

TEXT = f"""
Boardroom is a company of AI agents that turns an idea into a built, tested, running app.

## Errors

| status | code | meaning |
| --- | --- | --- |
{_CODE_ROWS}
"""

TAGS = [
    {"name": "1 · Authentication", "description": "Register, log in, renew, leave."},
]
