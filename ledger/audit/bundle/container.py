"""The container of a bundle: a ZIP whose every byte follows from the members' names and contents.

Written and read here and not by a library, whose headers and compressed bytes differ from version to version.
Members are stored, not deflated; times are 1980-01-01. Every ZIP tool opens it; reading accepts nothing that
this module would not have written, so there is no byte left that could be changed unseen.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, Final, NamedTuple

from ledger.audit.bundle.error import (
    BundleDamagedError,
    BundleTooLargeError,
    MemberRepeatedError,
    MemberUnknownError,
    NotABundleError,
)
from ledger.model.errors import InvariantError

MAX_BUNDLE_BYTES: Final = 2**32 - 2
"""What a ZIP without the 64-bit extension can address."""
MAX_MEMBERS: Final = 2**16 - 2
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,70}(?:/[a-z0-9][a-z0-9-]{0,70})?\.(?:json|ndjson|md)")
_LOCAL: Final = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL: Final = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END: Final = struct.Struct("<4sHHHHIIH")
_LOCAL_MAGIC: Final = b"PK\x03\x04"
_VERSION: Final = 10
_MADE_BY_UNIX: Final = 3 << 8 | 20
_FIRST_OF_1980: Final = 0x21
_READABLE_FILE: Final = 0o100644 << 16


class Member(NamedTuple):
    """One member to be written; its bytes are asked for twice, so that they need not all be in memory."""

    name: str
    content: Callable[[], bytes]


class _Place(NamedTuple):
    name: str
    crc: int
    size: int
    offset: int

    @property
    def local_header(self) -> bytes:
        name = self.name.encode("ascii")
        size = self.size
        return _LOCAL.pack(_LOCAL_MAGIC, _VERSION, 0, 0, 0, _FIRST_OF_1980, self.crc, size, size, len(name), 0) + name

    @property
    def central_header(self) -> bytes:
        name = self.name.encode("ascii")
        numbers = (_MADE_BY_UNIX, _VERSION, 0, 0, 0, _FIRST_OF_1980, self.crc, self.size, self.size, len(name))
        return _CENTRAL.pack(b"PK\x01\x02", *numbers, 0, 0, 0, 0, _READABLE_FILE, self.offset) + name


def write_zip(members: Iterable[Member], out: BinaryIO) -> int:
    """Write the members in their order; the number of bytes. BundleTooLargeError when they do not fit."""
    places: list[_Place] = []
    at = 0
    for member in members:
        content = member.content()
        _check_name(member.name)
        place = _Place(member.name, zlib.crc32(content), len(content), at)
        header = place.local_header
        at += len(header) + len(content)
        if at > MAX_BUNDLE_BYTES or len(places) == MAX_MEMBERS:
            raise BundleTooLargeError(
                f"with {member.name} the bundle has more than {MAX_BUNDLE_BYTES} bytes or {MAX_MEMBERS} members",
                hint="export the batches by themselves; this epoch is too large for one file",
            )
        out.write(header)
        out.write(content)
        places.append(place)
    tail = _tail(places, at)
    out.write(tail)
    return at + len(tail)


def read_zip(content: memoryview) -> dict[str, memoryview]:
    """The members by name, in the file's order. Raises a `bundle.…` error for anything else than `write_zip` writes."""
    if len(content) > MAX_BUNDLE_BYTES:
        raise BundleTooLargeError(f"a bundle has at most {MAX_BUNDLE_BYTES} bytes, this file has {len(content)}")
    if bytes(content[: len(_LOCAL_MAGIC)]) != _LOCAL_MAGIC:
        raise NotABundleError("the file does not begin as a ZIP with members")
    members: dict[str, memoryview] = {}
    places: list[_Place] = []
    for place, body in _local_members(content):
        if place.name in members:
            raise MemberRepeatedError(f"{place.name} is in the bundle twice")
        if len(places) == MAX_MEMBERS:
            raise BundleTooLargeError(f"a bundle has at most {MAX_MEMBERS} members")
        members[place.name] = body
        places.append(place)
    last = places[-1]
    at = last.offset + len(last.local_header) + last.size
    if content[at:] != _tail(places, at):
        raise BundleDamagedError(f"the directory at byte {at} is not that of the members before it")
    return members


def _local_members(content: memoryview) -> Iterator[tuple[_Place, memoryview]]:
    at = 0
    while bytes(content[at : at + len(_LOCAL_MAGIC)]) == _LOCAL_MAGIC:
        if at + _LOCAL.size > len(content):
            raise BundleDamagedError(f"the file ends inside a header at byte {at}")
        fields = _LOCAL.unpack(content[at : at + _LOCAL.size])
        flags, method, crc, size, name_length = fields[2], fields[3], fields[6], fields[7], fields[9]
        start = at + _LOCAL.size + name_length
        name = bytes(content[at + _LOCAL.size : start]).decode("latin-1")
        _check_name(name)
        if flags or method:
            raise BundleDamagedError(f"{name} was packed again: a bundle's members are stored, not compressed")
        place = _Place(name, crc, size, at)
        body = content[start : start + size]
        if content[at:start] != place.local_header or len(body) != size:
            raise BundleDamagedError(f"the header of {name} at byte {at} is not as a bundle's writer writes it")
        if zlib.crc32(body) != crc:
            raise BundleDamagedError(f"{name} is not what was written: its checksum differs")
        yield place, body
        at = start + size


def _tail(places: list[_Place], at: int) -> bytes:
    directory = b"".join(place.central_header for place in places)
    count = len(places)
    return directory + _END.pack(b"PK\x05\x06", 0, 0, count, count, len(directory), at, 0)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise MemberUnknownError(f"{name!r:.120} is no member of a bundle")
    if len(name) > 2**15:
        raise InvariantError(f"{name:.20} has a name too long for a ZIP")
