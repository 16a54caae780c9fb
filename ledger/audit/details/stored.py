"""Detail files as stored, read by an auditor who has no rules: exactly the known columns, nothing left out."""

import io
from typing import Any

import polars as pl

from ledger.audit.details.rows import DETAIL_KINDS
from ledger.evidence.storage.parquet_guard import check_parquet
from ledger.model.errors import MismatchError
from ledger.model.refusals import ItemRefusedError


class DetailFileError(MismatchError):
    """A file that should explain an epoch's result does not."""

    code = "verify.detail-file"
    default_hint = "ath-ledger audit verify"


def stored_rows(name: str, content: bytes) -> tuple[Any, ...]:
    """The rows of the detail file of that name. DetailFileError when the bytes are none, or have other columns."""
    kind = DETAIL_KINDS[name]
    try:
        check_parquet(content, max_unpacked_bytes=None)
        frame = pl.read_parquet(io.BytesIO(content))
    except (ItemRefusedError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise DetailFileError(f"{name} is no Parquet file: {str(error)[:200]}") from error
    if frame.columns != list(kind.__dataclass_fields__):
        raise DetailFileError(f"{name} has the columns {', '.join(frame.columns)}")
    return tuple(kind(**row) for row in frame.iter_rows(named=True))
