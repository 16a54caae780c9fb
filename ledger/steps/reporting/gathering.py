"""The facts of computed epochs, out of their artefacts, the journal and the published grid figures."""

import csv
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import cache
from importlib.resources import files

import polars as pl
from sqlalchemy.orm import Session

from ledger.audit.reporting.facts import EpochFacts, LateRevocation, Retirement
from ledger.books.posting import Chain, EntryKind
from ledger.db import corrections, epochs, items, journal
from ledger.db import policies as policy_rows
from ledger.evidence.storage.store import ItemKind
from ledger.model.epoch import EpochState
from ledger.model.units import Address, EpochNumber, Hash32, MicrogramsCo2e, Timestamp, Wei, from_hex
from ledger.steps.auditing.epochs import require_sealed
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.sealed import standing_header
from ledger.steps.recorded.statements import statements_of
from ledger.steps.recorded.totals import totals_of
from ledger.steps.reporting.papers import Paper
from ledger.tree.canonical import parse_canonical
from ledger.tree.commitments import header_hash


def gather(
    ledger: Ledger, first: EpochNumber, last: EpochNumber, on_file: Mapping[Hash32, Paper] | None = None
) -> list[EpochFacts]:
    """The facts of the epochs first … last; `on_file`: retirement certificates by their hash.

    Raises NotSealedError, MismatchError for a damaged file.
    """
    for number in range(first, last + 1):
        require_sealed(ledger, EpochNumber(number))
    with ledger.database.reading() as session:
        found = [_facts(ledger, session, EpochNumber(number)) for number in range(first, last + 1)]
    return [
        replace(each, retirements=[_quoted(one, (on_file or {}).get(one.certificate_hash)) for one in each.retirements])
        for each in found
    ]


def _quoted(retirement: Retirement, paper: Paper | None) -> Retirement:
    return retirement if paper is None else replace(retirement, project=paper.project, serials=paper.serials)


def _facts(ledger: Ledger, session: Session, epoch: EpochNumber) -> EpochFacts:
    standing = epochs.current(session, epoch)
    frozen = epochs.facts(session, epoch, EpochState.FROZEN)
    stored = policy_rows.policy(session, int(frozen["policyVersion"]))
    verdicts = _frame(ledger, session, epoch, "verdicts")
    return EpochFacts(
        epoch=epoch,
        state=standing.state.value,
        attempt=standing.attempt,
        start=ledger.calendar.start(epoch),
        hours=ledger.calendar.hours,
        policy=stored.policy,
        policy_version=stored.version,
        totals=totals_of(session, epoch),
        header_hash=header_hash(standing_header(session, epoch)),
        is_corrected=corrections.booked_count(session, epoch) > 0,
        statements=statements_of(ledger.artefacts, session, epoch, standing.attempt),
        zone_hours=_frame(ledger, session, epoch, "zone-hours"),
        claims=_frame(ledger, session, epoch, "claims-credited"),
        verdicts=verdicts,
        hours_refused=_frame(ledger, session, epoch, "hours-refused"),
        accepted_items=_accepted(verdicts),
        late_revocations=_late(session, epoch, int(frozen["lastArrival"])),
        retirements=_retirements(session, ledger.calendar.start(epoch), ledger.calendar.end(epoch)),
        low_carbon_bps=low_carbon_shares(),
    )


@cache
def low_carbon_shares() -> Mapping[tuple[str, Timestamp], int]:
    """The published carbon-free share of a zone's grid by hour, in bps (ledger/data/figures/grid_hourly.csv)."""
    text = (files("ledger") / "data" / "figures" / "grid_hourly.csv").read_text("utf-8")
    return {
        (row["zone"], Timestamp(int(datetime.fromisoformat(row["hour_start_utc"]).timestamp()))): int(
            row["low_carbon_bps"]
        )
        for row in csv.DictReader(text.splitlines())
    }


def _frame(ledger: Ledger, session: Session, epoch: EpochNumber, kind: str) -> pl.DataFrame:
    attempt = epochs.current(session, epoch).attempt
    return pl.read_parquet(io.BytesIO(ledger.artefacts.read(session, epoch, attempt, kind)))


def _accepted(verdicts: pl.DataFrame) -> Mapping[str, int]:
    whole = verdicts.filter((pl.col("record") < 0) & (pl.col("code") == ""))
    counts = Counter(f"{kind} {schema}".strip() for kind, schema in whole.select("kind", "schema").iter_rows())
    return dict(sorted(counts.items()))


def _late(session: Session, epoch: EpochNumber, last_arrival: int) -> list[LateRevocation]:
    return [
        LateRevocation(uid=item.uid, signer=item.signer, received_at=item.received_at)
        for item in items.items(session, kind=ItemKind.REVOCATION.value, epoch=epoch)
        if item.arrival > last_arrival
    ]


def _retirements(session: Session, start: int, end: int) -> list[Retirement]:
    """Those mined in [start, end) that no later entry took back."""
    undone = {
        parse_canonical(entry.canonical)["body"].get("undoes")
        for entry in journal.entries(session, chain=Chain.LOG, kind=EntryKind.REVERSAL)
    }
    found = []
    for entry in journal.entries(session, chain=Chain.LOG, kind=EntryKind.RETIREMENT):
        if not start <= entry.effective_at < end or entry.key in undone:
            continue
        body = parse_canonical(entry.canonical)["body"]
        found.append(
            Retirement(
                at=entry.effective_at,
                retired_ug=MicrogramsCo2e(int(body["retiredUg"])),
                payment_wei=Wei(int(body["paymentWei"])),
                supplier=Address(from_hex(body["supplier"], 20)),
                certificate_hash=Hash32(from_hex(body["certificateHash"], 32)),
                uri=str(body["uri"]),
                transaction=Hash32(from_hex(body["at"]["transaction"], 32)),
            )
        )
    return found
