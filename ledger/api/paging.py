"""Lists a page at a time: opaque cursors that are checked, and RFC 8288 links to the next page.

A cursor names the last row of a page by its key, so that rows that come in later shift nothing. It holds for one
list with one set of filters and says so with a checksum: it is no secret, and nothing is believed for having one.
"""

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import Depends, Query, Request

from ledger.api.parameters import DEFAULT_LIMIT, PageLimit
from ledger.api.problems import CursorInvalidError
from ledger.model.units import from_hex, to_hex

_CHECK_BYTES: Final = 6
_PAGING: Final = ("cursor", "limit")
KeyPart = int | str | bytes
Key = tuple[KeyPart, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of one page, and the key of its last row where more follow."""

    rows: Sequence[dict[str, Any]]
    next_key: Key | None


@dataclass(frozen=True, slots=True)
class Paging:
    """What was asked for: how many rows, and the cursor after whose row they begin."""

    scope: str
    """The list and its filters, as the cursor binds them."""
    cursor: str | None
    limit: int

    def after(self, *kinds: type[KeyPart]) -> Key | None:
        """The key the page begins after, of these types; None at the beginning. CursorInvalidError."""
        return None if self.cursor is None else _opened(self.cursor, self.scope, kinds)

    def next_cursor(self, page: Page) -> str | None:
        """The cursor of the page that follows; None at the end."""
        return None if page.next_key is None else _sealed(page.next_key, self.scope)


def _paging(
    request: Request,
    cursor: Annotated[
        str | None,
        Query(
            max_length=1000,
            description="where the page begins: take it from the `next` link of the page before",
        ),
    ] = None,
    limit: Annotated[PageLimit, Query(description="rows on a page at most")] = DEFAULT_LIMIT,
) -> Paging:
    filters = sorted((name, value) for name, value in request.query_params.multi_items() if name not in _PAGING)
    path = request.url.path.removesuffix(".csv")
    return Paging(f"{path}?{urlencode(filters)}", cursor, limit)


Paged = Annotated[Paging, Depends(_paging)]


def slice_page(
    rows: Sequence[dict[str, Any]], key_of: Callable[[dict[str, Any]], Key], after: Key | None, limit: int
) -> Page:
    """A page of a whole list that is sorted by its key; for lists that are short by nature."""
    left = [row for row in rows if after is None or key_of(row) > after]
    return page_of(left[: limit + 1], key_of, limit)


def page_of(rows: Sequence[dict[str, Any]], key_of: Callable[[dict[str, Any]], Key], limit: int) -> Page:
    """A page out of rows of which one more than the limit was asked for, where there were so many."""
    if len(rows) <= limit:
        return Page(rows, None)
    return Page(rows[:limit], key_of(rows[limit - 1]))


def links(request: Request, cursor: str | None) -> str:
    """The `Link` header: the first page, and the next one where there is one."""
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    first = request.url.path + (f"?{urlencode(kept)}" if kept else "")
    found = [f'<{first}>; rel="first"']
    if cursor is not None:
        found.append(f'<{request.url.path}?{urlencode([*kept, ("cursor", cursor)])}>; rel="next"')
    return ", ".join(found)


def _sealed(key: Key, scope: str) -> str:
    parts = [to_hex(part) if isinstance(part, bytes) else part for part in key]
    payload = json.dumps(parts, separators=(",", ":")).encode("utf-8")
    return urlsafe_b64encode(_check(payload, scope) + payload).decode("ascii").rstrip("=")


def _opened(cursor: str, scope: str, kinds: Sequence[type[KeyPart]]) -> Key:
    try:
        content = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        check, payload = content[:_CHECK_BYTES], content[_CHECK_BYTES:]
        if check != _check(payload, scope):
            raise CursorInvalidError("the cursor belongs to another list, or to this one with other filters")
        parts = json.loads(payload)
        if not isinstance(parts, list) or len(parts) != len(kinds):
            raise CursorInvalidError("the cursor names no row of this list")
        return tuple(_part(part, kind) for part, kind in zip(parts, kinds, strict=True))
    except (ValueError, RecursionError) as error:
        raise CursorInvalidError("the cursor cannot be read") from error


def _part(part: object, kind: type[KeyPart]) -> KeyPart:
    if kind is bytes and isinstance(part, str):
        return from_hex(part)
    if kind is int and isinstance(part, int) and not isinstance(part, bool) and abs(part) < 2**63:
        return part
    if kind is str and isinstance(part, str) and part.isprintable():
        return part
    raise CursorInvalidError("the cursor names no row of this list")


def _check(payload: bytes, scope: str) -> bytes:
    return hashlib.sha256(scope.encode("utf-8", "replace") + b"\0" + payload).digest()[:_CHECK_BYTES]
