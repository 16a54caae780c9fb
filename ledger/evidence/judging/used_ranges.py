"""The register of used certificates: which Wh ids earlier epochs credited, and what devices produced for them.

A value, not a table: an epoch reads one register and leaves another. Its root goes into the manifest, so
nobody can forget a used Wh without being seen.
"""

import io
from dataclasses import dataclass
from typing import Final

import polars as pl

from ledger.evidence.storage.parquet_guard import check_parquet
from ledger.model.errors import MismatchError
from ledger.model.units import Hash32
from ledger.tree.commitments import used_ranges_root

RANGE_COLUMNS: Final[dict[str, pl.DataType]] = {
    "registry_id": pl.Binary(),
    "issuance_id": pl.Binary(),
    "range_start": pl.Int64(),
    "range_end": pl.Int64(),
}
PRODUCTION_COLUMNS: Final[dict[str, pl.DataType]] = {
    "device_id": pl.Binary(),
    "production_start": pl.Int64(),
    "production_end": pl.Int64(),
    "device_capacity_w": pl.Int64(),
    "wh": pl.Int64(),
}
_INTERVAL: Final = ["device_id", "production_start", "production_end"]


class UsedRegisterError(MismatchError):
    """A stored register of used ranges is not one, or not the one that was expected."""

    code = "evidence.used-register"
    default_hint = "ath-ledger audit verify"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedRegister:
    """Used ranges, both ends inclusive, sorted and with no two touching; and credited Wh per device interval."""

    ranges: pl.DataFrame
    production: pl.DataFrame

    @classmethod
    def empty(cls) -> "UsedRegister":
        """What epoch 0 starts from."""
        return cls(ranges=pl.DataFrame(schema=RANGE_COLUMNS), production=pl.DataFrame(schema=PRODUCTION_COLUMNS))

    def after(self, ranges: pl.DataFrame, production: pl.DataFrame) -> "UsedRegister":
        """The register with an epoch's credited ranges (`RANGE_COLUMNS`) and production (`PRODUCTION_COLUMNS`)."""
        return UsedRegister(
            ranges=_merged(pl.concat([self.ranges, ranges.select(list(RANGE_COLUMNS))])),
            production=_summed(pl.concat([self.production, production.select(list(PRODUCTION_COLUMNS))])),
        )

    def root(self) -> Hash32:
        """usedRangesRoot (E5.3): over the ranges; zero when nothing was ever used."""
        return used_ranges_root(self.ranges.iter_rows())

    def to_parquet(self) -> bytes:
        """Both tables in one file, told apart by the column `table`; the same register gives the same bytes."""
        stacked = pl.concat(
            [
                self.ranges.with_columns(pl.lit("range").alias("table")),
                self.production.with_columns(pl.lit("production").alias("table")),
            ],
            how="diagonal",
        )
        buffer = io.BytesIO()
        stacked.write_parquet(buffer, compression="zstd", statistics=False)
        return buffer.getvalue()

    @classmethod
    def from_parquet(cls, content: bytes) -> "UsedRegister":
        """The register in a file this ledger wrote; UsedRegisterError when it is none."""
        check_parquet(content, max_unpacked_bytes=None)
        try:
            stacked = pl.read_parquet(io.BytesIO(content))
            tables = {
                name: stacked.filter(pl.col("table") == name).select(list(columns)).cast(dict(columns))  # type: ignore[arg-type]
                for name, columns in (("range", RANGE_COLUMNS), ("production", PRODUCTION_COLUMNS))
            }
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise UsedRegisterError(f"not a register of used ranges: {str(error)[:200]}") from error
        register = cls(ranges=tables["range"], production=tables["production"])
        if not (register.ranges.equals(_merged(register.ranges)) and stacked.height == sum(map(len, tables.values()))):
            raise UsedRegisterError("the used ranges are not sorted, or touch each other")
        return register


def _merged(ranges: pl.DataFrame) -> pl.DataFrame:
    """The same Wh ids, sorted, with adjacent and overlapping ranges made one."""
    issuance = ["registry_id", "issuance_id"]
    reach = pl.col("range_end").cum_max().shift(1).over(issuance)
    begins = reach.is_null() | (pl.col("range_start") > reach + 1)
    return (
        ranges.sort(list(RANGE_COLUMNS))
        .with_columns(begins.cum_sum().alias("run"))
        .group_by("run", maintain_order=True)
        .agg(*(pl.col(name).first() for name in issuance), pl.col("range_start").min(), pl.col("range_end").max())
        .select(list(RANGE_COLUMNS))
    )


def _summed(production: pl.DataFrame) -> pl.DataFrame:
    """One row per device and interval; of two stated capacities the smaller counts."""
    return (
        production.group_by(_INTERVAL)
        .agg(pl.col("device_capacity_w").min(), pl.col("wh").sum())
        .select(list(PRODUCTION_COLUMNS))
        .sort(_INTERVAL)
    )
