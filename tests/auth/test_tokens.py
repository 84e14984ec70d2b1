"""Tokens: signed ones are accepted, and nothing else."""

import base64
import random
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from jose import jwt

from app.auth.tokens import Tokens
from app.domain.errors import Unauthorized

TOKENS = Tokens("a secret for the tests of tokens, long enough", access_s=60)
USER, SESSION, TOKEN = uuid4(), uuid4(), uuid4()
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def test_signed_tokens_are_accepted() -> None:
    claims = TOKENS.read_access(TOKENS.access(USER, SESSION))
    assert (claims.user_id, claims.session_id) == (USER, SESSION)
    left = claims.expires_at - datetime.now(UTC)
    assert timedelta(seconds=50) < left <= timedelta(seconds=60)


def test_a_row_gives_the_same_refresh_token_again() -> None:
    later = NOW + timedelta(days=36_500)
    first, again = (TOKENS.refresh(USER, SESSION, TOKEN, NOW, later) for _ in range(2))
    assert first == again
    assert TOKENS.read_refresh(first).token_id == TOKEN


def test_kinds_are_not_mistaken() -> None:
    refresh = TOKENS.refresh(USER, SESSION, TOKEN, NOW, datetime.now(UTC) + timedelta(days=1))
    with pytest.raises(Unauthorized):
        TOKENS.read_access(refresh)
    with pytest.raises(Unauthorized):
        TOKENS.read_refresh(TOKENS.access(USER, SESSION))


def test_expired() -> None:
    old = TOKENS.refresh(USER, SESSION, TOKEN, NOW, datetime.now(UTC) - timedelta(seconds=1))
    with pytest.raises(Unauthorized) as refusal:
        TOKENS.read_refresh(old)
    assert refusal.value.code == "token_expired"
    assert TOKENS.read_refresh(old, even_expired=True).token_id == TOKEN


def test_no_mutation_is_accepted() -> None:
    token = TOKENS.access(USER, SESSION)
    chance = random.Random(7)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.= \x00ä"
    for _ in range(3000):
        place = chance.randrange(len(token))
        letter = chance.choice(letters)
        mutant = token[:place] + letter + token[place + chance.choice((0, 1, 2)) :]
        if mutant != token:
            with pytest.raises(Unauthorized):
                TOKENS.read_access(mutant)


@pytest.mark.parametrize("space", [" ", "\t", "=", "!", "\n"])
@pytest.mark.parametrize("place", [0, 20, 43])
def test_a_signature_is_spelled_in_one_way(space: str, place: int) -> None:
    """A lenient decoder of base64 passes over four letters that are none."""
    rest, _, signature = TOKENS.access(USER, SESSION).rpartition(".")
    with pytest.raises(Unauthorized):
        TOKENS.read_access(f"{rest}.{signature[:place]}{space * 4}{signature[place:]}")


def test_the_spare_bits_of_a_signature_are_zero() -> None:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    token = TOKENS.access(USER, SESSION)
    for letter in letters.replace(token[-1], ""):
        with pytest.raises(Unauthorized):
            TOKENS.read_access(token[:-1] + letter)


@pytest.mark.parametrize(
    "header",
    [b"null", b"[" * 2900, b'{"alg":' + b"[" * 2800, b'{"alg":["HS256"]}', b'{"alg":{}}', b"9" * 2900],
)
def test_other_headers_are_refused(header: bytes) -> None:
    token = f"{base64.urlsafe_b64encode(header).decode().rstrip('=')}.e30.AAAA"
    for read in (TOKENS.read_access, TOKENS.read_refresh):
        with pytest.raises(Unauthorized):
            read(token)


@pytest.mark.parametrize("missing", ["sub", "sid", "exp", "iat", "jti", "iss", "aud", "type"])
def test_every_claim_is_needed(missing: str) -> None:
    claims = jwt.get_unverified_claims(TOKENS.access(USER, SESSION))
    del claims[missing]
    token = jwt.encode(claims, "a secret for the tests of tokens, long enough", algorithm="HS256")
    with pytest.raises(Unauthorized):
        TOKENS.read_access(token)


@pytest.mark.parametrize("claim", ["sub", "sid", "jti", "iss", "aud", "type"])
@pytest.mark.parametrize("value", [None, 7, [], {}, "x", True])
def test_claims_of_a_wrong_kind(claim: str, value: object) -> None:
    claims = {**jwt.get_unverified_claims(TOKENS.access(USER, SESSION)), claim: value}
    token = jwt.encode(claims, "a secret for the tests of tokens, long enough", algorithm="HS256")
    with pytest.raises(Unauthorized):
        TOKENS.read_access(token)
