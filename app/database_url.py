"""DATABASE_URL, read as PostgreSQL's own library libpq reads it.

Our driver knows some of libpq's words and takes others for settings of the server. So each word of
https://www.postgresql.org/docs/current/libpq-connect.html either works as written there or is refused.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote

DEFAULT_PORT = 5432

ALONE = "sslmode=disable&sslnegotiation=postgres&target_session_attrs=any&gsslib=gssapi"
"""The query of an address for which no `PG…` variable of the shell counts: each is said already."""


class BadDatabaseUrl(ValueError):
    """DATABASE_URL cannot be used. The message says why, never a value that may be secret."""


@dataclass(frozen=True)
class Address:
    """Where PostgreSQL is and how it is reached. What is None or absent, the driver takes from the shell
    (`PGHOST` and so on), as libpq does."""

    hosts: tuple[tuple[str, int], ...]
    """To be tried in this order. A host that begins with a slash is a folder of Unix sockets."""
    user: str | None
    password: str | None
    database: str | None
    words: Mapping[str, str] = field(default_factory=dict)
    """Words that the driver knows by the same names, nearly all for TLS."""
    server_settings: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float | None = None
    """For one host. None: as the caller likes; infinity: no limit."""
    sockets: Mapping[str, int] = field(default_factory=dict)
    """TCP keepalive: `keepalives`, `keepalives_idle`, …, in the units of libpq."""
    any_order: bool = False


def parse(url: str) -> Address:
    """Raises BadDatabaseUrl."""
    found = _FORM.fullmatch(url)
    if found is None or found["scheme"].partition("+")[0] not in ("postgresql", "postgres"):
        raise BadDatabaseUrl("it has the form postgresql://user:password@host:5432/database?word=value")
    try:
        query: dict[str, str] = dict(
            parse_qsl(str(found["query"] or ""), keep_blank_values=True, strict_parsing=bool(found["query"]))
        )
    except ValueError:
        raise BadDatabaseUrl("after the question mark are words with their values: word=value&…") from None
    words = {_OTHER_NAMES.get(word, word): value for word, value in query.items()}
    if words.get("sslmode") in ("true", "1"):  # ssl=true, as in Java
        words["sslmode"] = "require"
    for word, value in words.items():
        _check(word, value)
    hosts = words.pop("host", "") or unquote(found["hosts"])
    words = _with_true_server({word: value for word, value in words.items() if value})
    return Address(
        hosts=_hosts(hosts, words.get("port", "")),
        user=words.get("user") or _decoded(found["user"]),
        password=words.get("password") or _decoded(found["password"]),
        database=words.get("dbname") or _decoded(found["database"]),
        words={word: words[word] for word in _DRIVER if word in words},
        server_settings=_server_settings(words),
        timeout_s=_timeout(words.get("connect_timeout")),
        sockets={word: int(words[word]) for word in _SOCKETS if word in words},
        any_order=words.get("load_balance_hosts") == "random",
    )


def require_files(address: Address) -> None:
    """Raises BadDatabaseUrl if a file that the address names is not there."""
    for word in ("sslrootcert", "sslcert", "sslkey", "sslcrl"):
        named = address.words.get(word, "")
        if named and (word, named) != ("sslrootcert", "system") and not Path(named).is_file():
            raise BadDatabaseUrl(f"{word} names a file that is not there")


def where(url: str) -> str:
    """The hosts, for messages."""
    hosts = [f"{host}:{port}" for host, port in parse(url).hosts]
    return ", ".join(hosts) or "the shell's PGHOST, or this machine"


_FORM = re.compile(
    r"(?P<scheme>[a-z0-9+]+)://"
    r"(?:(?P<user>[^:/@?]*)(?::(?P<password>[^@]*))?@)?"
    r"(?P<hosts>[^/?]*)(?:/(?P<database>[^?]*))?(?:\?(?P<query>.*))?"
)
_OTHER_NAMES = {"ssl": "sslmode", "database": "dbname"}
"""Names that other libraries print."""

_SOCKETS = ("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout")
_DRIVER = (
    *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl", "sslnegotiation"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version", "target_session_attrs"),
    *("krbsrvname", "gsslib", "passfile", "service"),
)
_NO = ("", "0", "false", "no", "off")


def _one_of(*values: str) -> Callable[[str], str]:
    return lambda value: "" if value in values else f"is one of {', '.join(filter(None, values))} here"


def _number(value: str) -> str:
    return "" if re.fullmatch(r"\s*-?\d{1,9}\s*", value) else "is a number"


def _anything(_: str) -> str:
    return ""


def _unsupported(_: str) -> str:
    return "is a word of PostgreSQL's that our driver does not know. Leave it out"


_TARGET = _one_of("any", "read-write", "primary")
_RULES: Mapping[str, Callable[[str], str]] = {
    **dict.fromkeys(("host", "user", "password", "dbname", "options", "sslpassword"), _anything),
    **dict.fromkeys(("application_name", "fallback_application_name", "passfile", "service"), _anything),
    **dict.fromkeys(("krbsrvname", "sslcompression", "max_protocol_version"), _anything),
    **dict.fromkeys(("connect_timeout", *_SOCKETS), _number),
    **dict.fromkeys(("sslrootcert", "sslcert", "sslkey", "sslcrl"), _anything),
    **dict.fromkeys(("ssl_min_protocol_version", "ssl_max_protocol_version"), _one_of("TLSv1.2", "TLSv1.3")),
    "port": lambda value: "" if re.fullmatch(r"[\d,]*", value) else "is a number",
    "sslmode": _one_of("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": _one_of("postgres", "direct"),
    "gsslib": _one_of("gssapi"),
    "gssencmode": _one_of("disable", "prefer"),
    "channel_binding": _one_of("disable", "prefer", "require"),
    "sslcertmode": _one_of("allow"),
    "sslsni": _one_of("1"),
    "min_protocol_version": _one_of("3.0"),
    "client_encoding": lambda value: _one_of("utf8", "auto")(value.lower().replace("-", "")),
    "load_balance_hosts": _one_of("disable", "random"),
    "target_session_attrs": lambda value: (problem := _TARGET(value)) and f"{problem}, as we write",
    "replication": _one_of(*_NO),
    **dict.fromkeys(("hostaddr", "require_auth", "requirepeer", "sslcrldir", "sslkeylogfile"), _unsupported),
    **dict.fromkeys(("gssdelegation", "scram_client_key", "scram_server_key", "servicefile"), _unsupported),
    **dict.fromkeys(("oauth_issuer", "oauth_client_id", "oauth_client_secret", "oauth_scope"), _unsupported),
}
"""Each word of libpq's, and what is wrong with a value ("" if nothing)."""


def _check(word: str, value: str) -> None:
    if word not in _RULES:
        raise BadDatabaseUrl(f"{word!r} is no word that PostgreSQL knows in an address. Leave it out")
    if problem := _RULES[word](value):
        raise BadDatabaseUrl(f"{word} {problem}")


def _with_true_server(words: dict[str, str]) -> dict[str, str]:
    """Our driver cannot bind the login to the TLS channel (`channel_binding=require`), which shows that the
    server is the true one. Its certificate has to show it instead. `sslrootcert=system` implies the same
    check, as in libpq."""
    bound = words.get("channel_binding") == "require"
    if bound and words.get("sslmode") in ("disable", "allow"):
        raise BadDatabaseUrl("channel_binding=require needs TLS: set sslmode=require")
    if bound:
        return {"sslrootcert": "system", **words, "sslmode": "verify-full"}
    if words.get("sslrootcert") == "system" and words.setdefault("sslmode", "verify-full") != "verify-full":
        raise BadDatabaseUrl("sslrootcert=system needs sslmode=verify-full")
    return words


def _server_settings(words: Mapping[str, str]) -> dict[str, str]:
    name = words.get("application_name") or words.get("fallback_application_name")
    settings = {"application_name": name, "options": words.get("options")}
    return {setting: value for setting, value in settings.items() if value}


def _timeout(said: str | None) -> float | None:
    if said is None:
        return None
    return max(2.0, float(said)) if int(said) > 0 else float("inf")


def _hosts(said: str, ports: str) -> tuple[tuple[str, int], ...]:
    """`a:1,b:2,[::1]:3` or, with `ports` 1,2,3, `a,b,::1`. Empty: the driver's own choice."""
    if not said:
        return ()
    hosts = said.split(",")
    given = (ports.split(",") if "," in ports else [ports] * len(hosts)) if ports else [""] * len(hosts)
    if len(given) != len(hosts):
        raise BadDatabaseUrl(f"there are {len(hosts)} hosts and {len(given)} ports")
    return tuple(_host(host, port) for host, port in zip(hosts, given, strict=True))


def _host(host: str, port: str) -> tuple[str, int]:
    found = re.fullmatch(r"\[(?P<six>[^\]]+)\](?::(?P<port6>\d*))?|(?P<name>[^:]+)(?::(?P<port>\d*))?", host)
    if found is None and host.count(":") < 2:
        raise BadDatabaseUrl("a host is a name or an address, and a port is a number")
    name = (found["six"] or found["name"]) if found else host
    number = int((found and (found["port6"] or found["port"])) or port or DEFAULT_PORT)
    if not 0 < number < 65_536:
        raise BadDatabaseUrl("a port is a number from 1 to 65535")
    return name, number


def _decoded(said: str | None) -> str | None:
    return unquote(said) if said else None
