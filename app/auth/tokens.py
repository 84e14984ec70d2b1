"""Access and refresh tokens: JWTs, signed with HS256 only. Also the tokens of previews, which are no JWTs.

Claims contain only ASCII letters, digits and `-._:/`, because clients read `exp` with a plain base64 decoder.
A refresh token and a preview's token are made from the data of their row only, so the same row always gives
the same token.
"""

import base64
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import Any, Literal
from uuid import UUID, uuid4

from jose import jwt
from jose.exceptions import ExpiredSignatureError, JWTError

from app.domain.errors import Unauthorized
from app.domain.values import parse_id

ALGORITHM = "HS256"
ISSUER = AUDIENCE = "boardroom"
MAX_TOKEN_CHARS = 4096
REMEMBERED = 4096
"""How many access tokens are cached after their signature was verified."""

_FORM = re.compile(r"[\w-]+\.[\w-]+\.[\w-]{42}[AEIMQUYcgkosw048]", re.ASCII)
"""Three parts of base64url. The signature's 32 bytes have one spelling only: the library's decoder would pass
over letters that are none and over the last letter's two spare bits."""

_REQUIRED = {f"require_{claim}": True for claim in ("sub", "exp", "iat", "jti", "iss", "aud")}

Kind = Literal["access", "refresh"]


@dataclass(frozen=True)
class Claims:
    """The content of a token: its user, its session (the refresh family), and its own id."""

    user_id: UUID
    session_id: UUID
    token_id: UUID
    expires_at: datetime


class Tokens:
    """Signs and reads tokens with one secret. `access_s` is the life of an access token in seconds."""

    def __init__(self, secret: str, *, access_s: int) -> None:
        self._secret = secret
        self.access_s = access_s
        self._verified = lru_cache(REMEMBERED)(partial(self._read, "access"))

    def access(self, user_id: UUID, session_id: UUID) -> str:
        now = datetime.now(UTC)
        return self._sign("access", user_id, session_id, uuid4(), now, now + timedelta(seconds=self.access_s))

    def refresh(
        self, user_id: UUID, session_id: UUID, token_id: UUID, issued_at: datetime, expires_at: datetime
    ) -> str:
        """The token of a stored row. The same row gives the same token."""
        return self._sign("refresh", user_id, session_id, token_id, issued_at, expires_at)

    def read_access(self, token: str) -> Claims:
        """Unauthorized `token_invalid` or `token_expired`."""
        claims = self._verified(token)
        if claims.expires_at < datetime.now(UTC):
            raise _expired()
        return claims

    def read_refresh(self, token: str, *, even_expired: bool = False) -> Claims:
        """Unauthorized `token_invalid`, or `token_expired` unless `even_expired`."""
        return self._read("refresh", token, even_expired=even_expired)

    def preview(self, preview_id: UUID) -> str:
        """The token of a stored row: 160 bits, as 32 characters that are allowed in a host name."""
        mac = hmac.digest(self._secret.encode(), f"preview:{preview_id}".encode(), "sha256")
        return base64.b32encode(mac[:20]).decode().lower()

    def _sign(
        self, kind: Kind, user_id: UUID, session_id: UUID, token_id: UUID, issued: datetime, expires: datetime
    ) -> str:
        claims = {
            "sub": str(user_id),
            "sid": str(session_id),
            "exp": int(expires.timestamp()),
            "iat": int(issued.timestamp()),
            "jti": str(token_id),
            "iss": ISSUER,
            "aud": AUDIENCE,
            "type": kind,
        }
        return jwt.encode(claims, self._secret, algorithm=ALGORITHM)

    def _read(self, kind: Kind, token: str, *, even_expired: bool = False) -> Claims:
        if len(token) > MAX_TOKEN_CHARS or not _FORM.fullmatch(token):
            raise _invalid()
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                options={**_REQUIRED, "require_exp": not even_expired, "verify_exp": not even_expired},
            )
        except ExpiredSignatureError:
            raise _expired() from None
        except (JWTError, RecursionError):  # the token's JSON may be nested too deeply
            raise _invalid() from None
        return _claims(kind, claims)


def _claims(kind: Kind, claims: dict[str, Any]) -> Claims:
    ids = [parse_id(str(claims.get(name, ""))) for name in ("sub", "sid", "jti")]
    user_id, session_id, token_id = ids
    if claims.get("type") != kind or user_id is None or session_id is None or token_id is None:
        raise _invalid()
    return Claims(user_id, session_id, token_id, datetime.fromtimestamp(claims["exp"], UTC))


def _expired() -> Unauthorized:
    return Unauthorized("Your session has expired: log in again.", code="token_expired")


def _invalid() -> Unauthorized:
    return Unauthorized("This token is not valid here: log in again.", code="token_invalid")
