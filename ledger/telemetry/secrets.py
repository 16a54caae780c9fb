"""What must not be printed, taken out of every text that is: passwords, keys in addresses, values known to be secret.

An address keeps scheme, user and host, so that a reader still sees which server is meant.
"""

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

MASK: Final = "***"
_SHORTEST: Final = 8
"""Shorter values are not searched for: a password `test` would blacken every test. In addresses they are masked too."""

_ADDRESS: Final = re.compile(r"([a-z][a-z0-9+.\-]*)://([^\s\"'<>\\`|]*)", re.IGNORECASE)
_AUTHORITY: Final = re.compile(r"(//[^\s:@/\"']*):[^\s@\"']+@")
"""User and password after two slashes, also where what stands before them is no scheme."""
_ASSIGNED: Final = re.compile(
    r"(?i)((?:password|passwd|pwd|secret|token|mnemonic|authorization|api[_-]?key|private[_-]?key)[\"']?\s*[=:]\s*)"
    r"(?:bearer\s+|basic\s+)?(\"[^\"]*\"|'[^']*'|[^\s,;&}\])]+)"
)
_REQUESTED: Final = re.compile(r"(?i)(\burl:\s*|\"(?:GET|POST|PUT|HEAD|DELETE)\s+)/\S+")
"""Where HTTP libraries print a path without its host."""
_SECRET_NAME: Final = re.compile(r"(?i)password|passwd|secret|token|mnemonic|authorization|cookie|api_?key|private")
OPEN_ROADS: Final = frozenset({"http", "https", "ws", "wss"})
"""Schemes whose addresses carry their key anywhere: as user, in the path, in the query."""
FILES: Final = frozenset({"sqlite", "file", "memory"})
"""Schemes whose addresses name no server."""

_kept: set[str] = set()


def keep_secret(*values: str) -> None:
    """From now on these values are masked wherever they stand in a text."""
    _kept.update(value for value in values if len(value) >= _SHORTEST)


def keep_address_secret(address: str) -> None:
    """From now on the parts of this address that open a door are masked, also outside of it: password, path, query.

    `rpc_url` may hold several addresses with commas between: each is one.
    """
    for one in address.split(",") if "," in address else ():
        keep_address_secret(one)
    try:
        parts = urlsplit(address)
    except ValueError:
        return
    if parts.scheme in FILES:
        return
    keep_secret(unquote(parts.password or ""), parts.password or "")
    if parts.scheme in OPEN_ROADS:
        keep_secret(*parts.path.split("/"), parts.path)
    keep_secret(*(value for name, value in parse_qsl(parts.query) if parts.scheme in OPEN_ROADS or is_secret(name)))


def is_secret(name: str) -> bool:
    """Whether a field of this name is never printed."""
    return _SECRET_NAME.search(name) is not None


def redacted(text: str) -> str:
    """The text without secrets."""
    for value in sorted(_kept, key=len, reverse=True):
        text = text.replace(value, MASK)
    text = _ADDRESS.sub(lambda found: _masked_address(found[1], found[2]), text)
    text = _AUTHORITY.sub(lambda found: f"{found[1]}:{MASK}@", text)
    text = _REQUESTED.sub(lambda found: found[1] + "/" + MASK, text)
    return _ASSIGNED.sub(lambda found: found[1] + MASK, text)


def redact(value: Any) -> Any:
    """A value without secrets, however deep they are: texts are searched, fields with secret names are masked whole."""
    match value:
        case str():
            return redacted(value)
        case Mapping():
            return {name: MASK if is_secret(str(name)) and each else redact(each) for name, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [redact(each) for each in value]
        case _:
            return value


def _masked_address(scheme: str, rest: str) -> str:
    kind = scheme.lower().split("+")[0]
    if kind in FILES:
        return f"{scheme}://{rest}"
    # the last @ ends the password, whatever stands in it
    user_info, at, rest = rest.rpartition("@")
    user = user_info.split(":", 1)[0]
    host = re.split(r"[/?#]", rest, maxsplit=1)[0]
    after = rest[len(host) :]
    if kind in OPEN_ROADS:
        # nodes and webhooks carry their access key as user, in the path or in the query
        return f"{scheme}://{MASK + at if at else ''}{host}{'/' + MASK if after.strip('/') else after}"
    path = re.split(r"[?#]", after, maxsplit=1)[0]
    query = f"?{MASK}" if len(path) < len(after) else ""
    shown = (f"{user}:{MASK}@" if ":" in user_info else user_info + "@") if at else ""
    return f"{scheme}://{shown}{host}{path}{query}"
