"""One certificate through all epochs: who claimed which Wh of it for what, what was credited, what was refused."""

import io
from collections.abc import Iterator
from typing import Any, Final

import polars as pl
from sqlalchemy.orm import Session

from ledger.audit.reporting.carbon_sections import moment
from ledger.audit.reporting.certificates import SOURCES
from ledger.db import epochs, items
from ledger.evidence.items.typed_data import Schema
from ledger.evidence.storage.store import ItemKind, stored_batch
from ledger.model.epoch import COMPUTED_STATES
from ledger.model.errors import NotFoundError, UsageError
from ledger.model.units import EpochNumber, to_hex
from ledger.steps.ledger import Ledger

_CLAIM: Final = ("registry_id", "issuance_id", "range_start", "range_end", "node_id", "consumption_hour", "tier")
UNJUDGED: Final = "not judged yet"


def certificate_use(ledger: Ledger, issuance: str) -> list[dict[str, Any]]:
    """A row a claim, by epoch, batch and record. NotFoundError when nobody ever claimed it, UsageError for no hex."""
    prefix = issuance.lower().removeprefix("0x")
    if not prefix or any(letter not in "0123456789abcdef" for letter in prefix) or len(prefix) > 64:
        raise UsageError(
            f"{issuance!r} is no 0x-hex of an issuance", hint="ath-ledger audit report --epoch N lists them"
        )
    with ledger.database.reading() as session:
        rows = list(_claims(ledger, session, prefix))
    found = {row["issuance"] for row in rows}
    if not found:
        raise NotFoundError(f"no claim names issuance {issuance}", hint="ath-ledger audit report --epoch N")
    if len(found) > 1:
        raise UsageError(f"{issuance} begins {len(found)} issuances", hint="give more of its digits")
    return rows


def _claims(ledger: Ledger, session: Session, prefix: str) -> Iterator[dict[str, Any]]:
    states = {each.epoch: each for each in epochs.all_standings(session)}
    judged: dict[EpochNumber, tuple[pl.DataFrame, dict[tuple[bytes, int], list[tuple[str, str]]]]] = {}
    claims = [
        item
        for item in items.items(session, kind=ItemKind.BATCH.value)
        if item.schema == Schema.RENEWABLE.title and item.epoch is not None
    ]
    for item in sorted(claims, key=lambda each: (each.epoch, each.uid)):
        batch = stored_batch(ledger.evidence, item.uid, ledger.domain)
        records = batch.records().with_row_index("record")
        matching = records.filter(pl.col("issuance_id").bin.encode("hex").str.starts_with(prefix))
        if not matching.height or item.epoch is None:
            continue
        standing = states.get(item.epoch)
        known = standing is not None and standing.state in COMPUTED_STATES
        if known and item.epoch not in judged:
            judged[item.epoch] = _judgement(ledger, session, item.epoch)
        for row in matching.iter_rows(named=True):
            credited, verdict, why = (0, UNJUDGED, "") if not known else _outcome(judged[item.epoch], item.uid, row)
            yield _row(item.epoch, item.uid, row, credited, verdict, why)


def _judgement(
    ledger: Ledger, session: Session, epoch: EpochNumber
) -> tuple[pl.DataFrame, dict[tuple[bytes, int], list[tuple[str, str]]]]:
    attempt = epochs.current(session, epoch).attempt
    credited, verdicts = (
        pl.read_parquet(io.BytesIO(ledger.artefacts.read(session, epoch, attempt, kind)))
        for kind in ("claims-credited", "verdicts")
    )
    codes: dict[tuple[bytes, int], list[tuple[str, str]]] = {}
    for item, record, code, detail in verdicts.select("item", "record", "code", "detail").iter_rows():
        codes.setdefault((item, record), []).append((code, detail))
    return credited, codes


def _outcome(
    judged: tuple[pl.DataFrame, dict[tuple[bytes, int], list[tuple[str, str]]]], uid: bytes, row: dict[str, Any]
) -> tuple[int, str, str]:
    """Wh credited, the word for it, and the refusal's code and detail."""
    credited, codes = judged
    same = credited.filter(*(pl.col(name) == row[name] for name in _CLAIM))
    credited_wh = int(same["credited_wh"].sum())
    whole = row["range_end"] - row["range_start"] + 1
    refusals = [each for each in (*codes.get((uid, -1), []), *codes.get((uid, int(row["record"])), [])) if each[0]]
    why = "; ".join(f"{code}: {detail}" if detail else code for code, detail in refusals)
    if any(code for code, _ in codes.get((uid, -1), [])) or not credited_wh:
        return 0, "refused", why
    return credited_wh, "credited" if credited_wh == whole else "credited in part", why


def _row(
    epoch: EpochNumber, uid: bytes, row: dict[str, Any], credited_wh: int, verdict: str, why: str
) -> dict[str, Any]:
    return {
        "epoch": epoch,
        "registry": to_hex(row["registry_id"]),
        "issuance": to_hex(row["issuance_id"]),
        "range_start": row["range_start"],
        "range_end": row["range_end"],
        "claimed_wh": row["range_end"] - row["range_start"] + 1,
        "credited_wh": credited_wh,
        "verdict": verdict,
        "why": why,
        "tier": row["tier"],
        "source": SOURCES.get(row["source"], str(row["source"])),
        "device": to_hex(row["device_id"]),
        "device_capacity_w": row["device_capacity_w"],
        "zone": row["zone"],
        "produced": f"{moment(row['production_start'])} – {moment(row['production_end'])}",
        "consumption_hour": moment(row["consumption_hour"]),
        "node": to_hex(row["node_id"]),
        "beneficiary": to_hex(row["beneficiary"]),
        "cancelled": moment(row["cancelled_at"]),
        "cancellation": to_hex(row["cancellation_ref"]),
        "batch": to_hex(uid),
        "record": row["record"],
    }
