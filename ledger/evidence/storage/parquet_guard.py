"""Looks at a Parquet file's footer and page headers before anything is unpacked.

A few kilobytes of Parquet can claim to unpack to gigabytes. The guard walks every page header (Thrift
compact protocol, read here with bounds on everything) and adds up what unpacking would cost, so that
memory is bounded by what a batch can honestly need and not by what a sender claims.
"""

from typing import Any, Final

from ledger.model.refusals import refused

MAX_FILE_BYTES: Final = 256 * 2**20
"""The largest honest batch (65,536 energy records of 168 hours) has 220 MB of readings."""
MAX_UNPACKED_BYTES: Final = 320 * 2**20
MAX_FOOTER_BYTES: Final = 2**20
_MAGIC: Final = b"PAR1"
_MAX_DEPTH: Final = 16
_MAX_ITEMS: Final = 100_000

_ROWS, _GROUPS = 3, 4
_GROUP_COLUMNS, _GROUP_ROWS = 1, 3
_CHUNK_FILE, _CHUNK_META = 1, 3
_META_VALUES, _META_SIZE, _META_DATA_PAGE, _META_DICTIONARY_PAGE = 5, 7, 9, 11
_PAGE_UNPACKED, _PAGE_PACKED, _PAGE_DATA, _PAGE_DATA_V2 = 2, 3, 5, 8
_PAGE_VALUES = 1


def check_parquet(content: bytes, *, max_unpacked_bytes: int | None = MAX_UNPACKED_BYTES) -> int:
    """The number of rows, after the whole file's pages were found to be within bounds.

    Refuses with `file.truncated` what contradicts itself and with `file.too-large` what unpacks to more
    than allowed (`None`: a file of our own, whose size is its own affair).
    """
    if len(content) < 12 or content[:4] != _MAGIC or content[-4:] != _MAGIC:
        raise refused("file.truncated", "a Parquet file begins and ends with PAR1")
    length = int.from_bytes(content[-8:-4], "little")
    if length > min(MAX_FOOTER_BYTES, len(content) - 12):
        raise refused("file.truncated", f"a footer of {length} bytes in a file of {len(content)}")
    footer = _Compact(content, len(content) - 8 - length, len(content) - 8).struct()
    groups = _of(footer.get(_GROUPS, []), list)
    rows, unpacked = 0, 0
    for group in groups:
        group_rows = _number(_of(group, dict), _GROUP_ROWS)
        rows += group_rows
        for chunk in _of(group.get(_GROUP_COLUMNS, []), list):
            unpacked += _chunk_bytes(content, _of(chunk, dict), group_rows)
            if max_unpacked_bytes is not None and unpacked > max_unpacked_bytes:
                raise refused("file.too-large", f"the file unpacks to more than {max_unpacked_bytes} bytes")
    if rows != _number(footer, _ROWS):
        raise refused("file.truncated", f"row groups hold {rows} rows, the footer says {_number(footer, _ROWS)}")
    return rows


def _chunk_bytes(content: bytes, chunk: dict[int, Any], rows: int) -> int:
    """What one column chunk unpacks to; its pages must lie in the file and hold exactly its rows."""
    meta = _of(chunk.get(_CHUNK_META), dict)
    if _CHUNK_FILE in chunk or _number(meta, _META_VALUES) != rows:
        raise refused("file.truncated", "a column chunk lies in another file or has another number of values")
    at = _number(meta, _META_DATA_PAGE)
    dictionary = meta.get(_META_DICTIONARY_PAGE)
    if isinstance(dictionary, int) and 0 < dictionary < at:
        at = dictionary
    end = at + _number(meta, _META_SIZE)
    if not 4 <= at <= end <= len(content) - 8:
        raise refused("file.truncated", "a column chunk lies outside the file")
    unpacked = values = 0
    while at < end:
        reader = _Compact(content, at, end)
        page = reader.struct()
        at = reader.at + _number(page, _PAGE_PACKED)
        unpacked += _number(page, _PAGE_UNPACKED)
        data = page.get(_PAGE_DATA, page.get(_PAGE_DATA_V2))
        values += _number(_of(data, dict), _PAGE_VALUES) if data is not None else 0
    if at != end or values != rows:
        raise refused("file.truncated", f"the pages of a column chunk hold {values} of {rows} values")
    return unpacked


def _of(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise refused("file.truncated", f"the Parquet footer has {type(value).__name__} where {kind.__name__} belongs")
    return value


def _number(struct: dict[int, Any], field: int) -> int:
    value = struct.get(field)
    if type(value) is not int or value < 0:
        raise refused("file.truncated", f"field {field} of the Parquet footer is not a count")
    return value


class _Compact:
    """Reads Thrift's compact protocol between two places of a buffer; every length is checked first."""

    def __init__(self, content: bytes, at: int, end: int) -> None:
        self._content = content
        self.at = at
        self._end = end
        self._items = 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        if depth > _MAX_DEPTH:
            raise refused("file.truncated", "the Parquet footer is nested too deeply")
        fields: dict[int, Any] = {}
        last = 0
        while (head := self._byte()) != 0:
            last = last + (head >> 4) if head >> 4 else self._zigzag()
            fields[last] = self._value(head & 15, depth, in_list=False)
        return fields

    def _value(self, kind: int, depth: int, *, in_list: bool) -> Any:
        self._items += 1
        if self._items > _MAX_ITEMS:
            raise refused("file.truncated", "the Parquet footer has too many members")
        match kind:
            case 1 | 2:
                return self._byte() == 1 if in_list else kind == 1
            case 3:
                return self._byte()
            case 4 | 5 | 6:
                return self._zigzag()
            case 7:
                return self._take(8)
            case 8:
                return self._take(self._varint())
            case 9 | 10:
                head = self._byte()
                count = self._varint() if head >> 4 == 15 else head >> 4
                if count > self._end - self.at:
                    raise refused("file.truncated", "a list of the Parquet footer is longer than the footer")
                return [self._value(head & 15, depth + 1, in_list=True) for _ in range(count)]
            case 12:
                return self.struct(depth + 1)
            case _:
                raise refused("file.truncated", f"the Parquet footer has a member of unknown type {kind}")

    def _take(self, length: int) -> bytes:
        if length > self._end - self.at:
            raise refused("file.truncated", "the Parquet footer is cut off")
        self.at += length
        return self._content[self.at - length : self.at]

    def _byte(self) -> int:
        return self._take(1)[0]

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise refused("file.truncated", "a number of the Parquet footer has no end")

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
