"""What a cache may keep: a strong ETag on every answer, and for ever what a final epoch will not change again."""

import hashlib
from typing import Final

from fastapi import Request, Response

FOR_EVER: Final = "public, max-age=31536000, immutable"
ASK_AGAIN: Final = "no-cache"
"""May be kept, and is to be asked for with If-None-Match before it is used."""


def etag_of(content: bytes) -> str:
    """A strong validator: the same tag means the same bytes."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def cached(request: Request, content: bytes, media_type: str, headers: dict[str, str], *, is_final: bool) -> Response:
    """The answer with its validator; 304 without a body when the asker has these bytes already."""
    tag = etag_of(content)
    headers = {**headers, "ETag": tag, "Cache-Control": FOR_EVER if is_final else ASK_AGAIN}
    if _is_known(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=media_type)


def _is_known(wanted: str, tag: str) -> bool:
    """RFC 9110 13.1.2: a list of tags, weak or strong, or `*`."""
    named = [each.strip().removeprefix("W/") for each in wanted.split(",")]
    return tag in named or "*" in named
