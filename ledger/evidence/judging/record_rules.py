"""R3.6 to R3.9 on single records, a schema at a time; the quorum itself is the rules'.

Records are columns here; `code` starts empty and keeps the first reason that refuses a record.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from ledger.evidence.items.records import RECORD_COLUMNS, bound_faults
from ledger.evidence.items.typed_data import Schema
from ledger.evidence.judging.batch_rules import StandingBatch
from ledger.evidence.judging.certificates import ClaimRules, claim_codes, credit_claims
from ledger.evidence.judging.equivocation import equivocating_rows, without_repeats
from ledger.evidence.judging.used_ranges import UsedRegister
from ledger.evidence.judging.verdicts import VerdictLog
from ledger.evidence.storage.store import ItemKind
from ledger.model.units import Hash32

_OUTPUT_ORDER: dict[Schema, list[str]] = {
    Schema.UPTIME: ["node_id", "verifier", "window_start"],
    Schema.ENERGY: ["node_id", "verifier", "window_start"],
    Schema.RENEWABLE: ["registry_id", "issuance_id", "range_start", "node_id", "verifier"],
    Schema.GRID: ["zone", "verifier", "window_start"],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRules:
    """What records are judged against besides themselves."""

    claim_rules: ClaimRules
    assignment: pl.DataFrame
    """node_id, verifier: each node's checkers."""
    used: UsedRegister


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedRecords:
    """Accepted records of one schema in canonical order, and the register of used ranges after them."""

    records: pl.DataFrame
    used_after: UsedRegister


def judge_records(
    schema: Schema, batches: Sequence[StandingBatch], rules: RecordRules, log: VerdictLog
) -> AcceptedRecords:
    """Judge the records of the schema's batches; refused ones go to the log."""
    table = _refuse_equivocations(schema, _revoked(_table(schema, batches), batches))
    table = _refuse_unknown(schema, table, rules)
    table = _refuse_bounds(schema, table)
    used_after = rules.used
    if schema is Schema.UPTIME:
        table = _refuse_unassigned(table, rules.assignment)
    if schema is Schema.RENEWABLE:
        table, used_after = _judge_claims(table, rules)
    _log_records(schema, table, batches, log)
    accepted = table.filter(pl.col("code") == "")
    if schema is Schema.RENEWABLE:
        accepted = accepted.filter(pl.col("credited_wh") > 0)
    else:
        accepted = without_repeats(schema, accepted)
    extra = ["verifier", "credited_wh"] if schema is Schema.RENEWABLE else ["verifier"]
    records = accepted.select([*RECORD_COLUMNS[schema], *extra]).sort(_OUTPUT_ORDER[schema])
    return AcceptedRecords(records=records, used_after=used_after)


def _table(schema: Schema, batches: Sequence[StandingBatch]) -> pl.DataFrame:
    """All records with where they come from: batch (its number), record, verifier, the batch's window."""
    origin = {
        "verifier": pl.Binary(),
        "batch": pl.Int64(),
        "record": pl.Int64(),
        "batch_start": pl.Int64(),
        "batch_end": pl.Int64(),
    }
    empty = pl.DataFrame(schema={**RECORD_COLUMNS[schema], **origin})
    parts = [
        batch.records.with_columns(
            pl.lit(bytes(batch.header.verifier)).alias("verifier"),
            pl.lit(number, dtype=pl.Int64).alias("batch"),
            pl.int_range(pl.len(), dtype=pl.Int64).alias("record"),
            pl.lit(batch.header.window_start, dtype=pl.Int64).alias("batch_start"),
            pl.lit(batch.header.window_end, dtype=pl.Int64).alias("batch_end"),
        )
        for number, batch in enumerate(batches)
    ]
    return pl.concat([empty, *parts]).with_columns(
        pl.int_range(pl.len(), dtype=pl.Int64).alias("row"),
        pl.lit("").alias("code"),
        pl.lit("").alias("detail"),
    )


def _refuse(table: pl.DataFrame, broken: pl.Expr, code: str) -> pl.DataFrame:
    """Give the code to records that broke nothing before."""
    fresh = (pl.col("code") == "") & broken
    return table.with_columns(code=pl.when(fresh).then(pl.lit(code)).otherwise(pl.col("code")))


def _refuse_rows(table: pl.DataFrame, rows: Sequence[int], code: str) -> pl.DataFrame:
    return _refuse(table, pl.col("row").is_in(list(rows)), code) if rows else table


def _revoked(table: pl.DataFrame, batches: Sequence[StandingBatch]) -> pl.DataFrame:
    """R3.6: records their verifier took back."""
    rows, first = [], 0
    for batch in batches:
        rows += [first + record for record in sorted(batch.revoked_records)]
        first += batch.records.height
    return _refuse_rows(table, rows, "record.revoked")


def _refuse_equivocations(schema: Schema, table: pl.DataFrame) -> pl.DataFrame:
    """R3.10: not for certificates, where only single use applies."""
    if schema is Schema.RENEWABLE:
        return table
    standing = table.filter(pl.col("code") == "")
    return _refuse_rows(table, equivocating_rows(schema, standing), "record.equivocation")


def _refuse_unknown(schema: Schema, table: pl.DataFrame, rules: RecordRules) -> pl.DataFrame:
    """R3.7: the node must be active, the zone in the tables; an energy record's zone is the rules' to compare."""
    if schema is not Schema.GRID:
        known = rules.claim_rules.nodes["node_id"].implode()
        table = _refuse(table, ~pl.col("node_id").is_in(known), "node.unknown")
    if schema in (Schema.GRID, Schema.RENEWABLE):
        table = _refuse(table, ~pl.col("zone").is_in(list(rules.claim_rules.tables.zones)), "zone.unknown")
    return table


def _refuse_bounds(schema: Schema, table: pl.DataFrame) -> pl.DataFrame:
    """R3.7: what a record says of itself must be possible."""
    faults = bound_faults(schema, table)
    for code in sorted({fault.code for fault in faults}):
        table = _refuse_rows(table, [fault.index for fault in faults if fault.code == code], code)
    return table


def _refuse_unassigned(table: pl.DataFrame, assignment: pl.DataFrame) -> pl.DataFrame:
    """R3.8: only the votes of a node's own checkers count (R1.8)."""
    assigned = assignment.with_columns(assigned=pl.lit(value=True))
    joined = table.join(assigned, on=["node_id", "verifier"], how="left", maintain_order="left")
    return _refuse(joined, pl.col("assigned").is_null(), "uptime.not-assigned").drop("assigned")


def _judge_claims(table: pl.DataFrame, rules: RecordRules) -> tuple[pl.DataFrame, UsedRegister]:
    """R3.9: certificates, in the order of R3.13."""
    table = table.with_columns(credited_wh=pl.lit(0, dtype=pl.Int64))
    standing = table.filter(pl.col("code") == "")
    standing = standing.with_columns(claim_codes(standing, rules.claim_rules))
    credited = credit_claims(standing.filter(pl.col("code") == "").drop("credited_wh"), rules.used)
    parts = (
        table.filter(pl.col("code") != ""),
        standing.filter(pl.col("code") != ""),
        credited.claims.select(table.columns),
    )
    return pl.concat(parts).sort("row"), credited.used_after


def _log_records(schema: Schema, table: pl.DataFrame, batches: Sequence[StandingBatch], log: VerdictLog) -> None:
    notable = table.filter((pl.col("code") != "") | (pl.col("detail") != ""))
    uids: list[Hash32] = [batch.uid for batch in batches]
    items = pl.Series("item", [uids[number] for number in notable["batch"].to_list()], dtype=pl.Binary)
    log.records(
        notable.with_columns(items, pl.lit(ItemKind.BATCH.value).alias("kind"), pl.lit(schema.title).alias("schema"))
    )
