"""A sealed statements file, read by an auditor who has no rules: columns by their names, amounts as integers."""

import io

import polars as pl

from ledger.audit.comparison import STATEMENT_COLUMNS
from ledger.evidence.storage.parquet_guard import check_parquet
from ledger.model.errors import MismatchError
from ledger.model.refusals import ItemRefusedError


class StatementFileError(MismatchError):
    """A file that should hold an epoch's statements does not."""

    code = "verify.statement-file"
    default_hint = "ath-ledger audit export"


def stored_statements(content: bytes) -> list[dict[str, object]]:
    """The rows of a sealed statements file, with the columns of `NodeStatement`.

    Raises StatementFileError when the bytes are no Parquet file or lack one of the columns.
    """
    try:
        check_parquet(content, max_unpacked_bytes=None)
        frame = pl.read_parquet(io.BytesIO(content))
    except (ItemRefusedError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise StatementFileError(f"not a statements file: {str(error)[:200]}") from error
    missing = [name for name in STATEMENT_COLUMNS if name not in frame.columns]
    if missing:
        raise StatementFileError(f"a statements file without the columns {', '.join(missing)}")
    decimals = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Decimal)]
    exact = frame.with_columns(pl.col(decimals).cast(pl.Int128)) if decimals else frame
    return list(exact.select(STATEMENT_COLUMNS).iter_rows(named=True))
