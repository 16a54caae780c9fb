"""Verdicts: one row for every item, and one for every record that was refused or credited in part."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from ledger.evidence.storage.store import ItemKind
from ledger.model.refusals import check_registered
from ledger.model.units import Address, Hash32

WHOLE_ITEM: Final = -1
VERDICT_COLUMNS: Final[dict[str, pl.DataType]] = {
    "item": pl.Binary(),
    "kind": pl.String(),
    "verifier": pl.Binary(),
    "schema": pl.String(),
    "record": pl.Int64(),
    "code": pl.String(),
    "detail": pl.String(),
}
"""`item` is the digest, `verifier` the claimed signer, `record` the index in key order or -1 for the whole
item, `code` a refusal's code or '' for accepted, `schema` '' for what has none."""


@dataclass(slots=True)
class VerdictLog:
    """Collects verdicts in any order; `frame` puts them into the one order that everybody gets."""

    _rows: list[tuple[bytes, str, bytes, str, int, str, str]] = field(default_factory=list)
    _frames: list[pl.DataFrame] = field(default_factory=list)

    def item(
        self, kind: ItemKind, uid: Hash32, signer: Address, code: str, detail: str = "", *, schema: str = ""
    ) -> None:
        """The verdict on a whole item."""
        self._rows.append((uid, kind.value, signer, schema, WHOLE_ITEM, code, detail))

    def records(self, frame: pl.DataFrame) -> None:
        """Verdicts on records, with `VERDICT_COLUMNS`."""
        self._frames.append(frame.select(list(VERDICT_COLUMNS)).cast(dict(VERDICT_COLUMNS)))  # type: ignore[arg-type]

    def frame(self) -> pl.DataFrame:
        """All verdicts by kind, item and record; InvariantError when a code is not registered."""
        rows = pl.DataFrame(self._rows, schema=VERDICT_COLUMNS, orient="row")
        verdicts = pl.concat([rows, *self._frames]).sort("kind", "item", "record", "code", "detail")
        check_registered(_texts(verdicts["code"]))
        return verdicts


def _texts(series: pl.Series) -> Iterable[str]:
    return [str(text) for text in series.unique().to_list()]
