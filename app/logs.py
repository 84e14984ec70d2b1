"""Logs on stderr, a line per event: JSON in production, readable text in development, never a credential."""

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

HIDDEN = "[hidden]"

SECRET_NAMES = frozenset(
    {
        "access",
        "api_key",
        "authorization",
        "boardroom_access",
        "cookie",
        "password",
        "refresh",
        "secret",
        "secret_key",
        "ticket",
        "token",
    }
)
"""Fields, query parameters and cookies whose values are credentials, in lower case."""

_names = "|".join(sorted(SECRET_NAMES))
_PATTERNS = (
    (re.compile(rf"((?:{_names})=)[^\s&;,\"']+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(rf"((?:{_names})[\"']\s*:\s*[\"'])[^\"']+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"\b(bearer[\s,]+|basic\s+)[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), HIDDEN),  # a JWT, wherever it turned up
    (re.compile(r"(://[^:/@\s]*:)[^@/\s]+(@)"), rf"\1{HIDDEN}\2"),  # the password in an address
)

_requests = structlog.get_logger("boardroom.request")

NOISY = ("httpx", "httpcore", "websockets", "alembic", "arq", "asyncio")
"""Libraries whose lines below a warning are left out."""


_SUSPECT = re.compile(r"[=:]|bearer|basic|eyj", re.IGNORECASE)
"""Every pattern above needs one of these. Most texts have none and are not searched further."""


def redact(text: str) -> str:
    """`text` without what looks like a credential."""
    if not _SUSPECT.search(text):
        return text
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


def configure_logs(*, production: bool) -> None:
    """Format our lines and those of libraries alike. uvicorn's access log is off, because it shows queries;
    `log_request` takes its place. Start uvicorn with `log_config=None`."""
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.format_exc_info,
        _hide_credentials,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *before,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(production)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").disabled = True


def log_request(method: str, path: str, status: int, duration_ms: float, request_id: str) -> None:
    """Log an answered request, or a closed socket with its close code as `status`. `path` is without the
    query."""
    _requests.info(f"{method} {path} {status}", duration_ms=round(duration_ms, 1), request_id=request_id)


def _hide_credentials(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    return {key: value if key.startswith("_") else _hidden(key, value) for key, value in event.items()}


def _hidden(key: str, value: Any) -> Any:
    if key.lower() in SECRET_NAMES:
        return HIDDEN
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {name: _hidden(str(name), inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_hidden("", inner) for inner in value]
    return value


def _renderer(production: bool) -> Processor:
    if production:
        return structlog.processors.JSONRenderer(
            serializer=lambda event, **_: orjson.dumps(event, default=str).decode()
        )
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
    )
