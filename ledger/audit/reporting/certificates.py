"""Section R7.4: every certificate that counted, with its whole identity."""

from collections.abc import Sequence
from typing import Final

from ledger.audit.reporting.carbon_sections import moment
from ledger.audit.reporting.document import Column, Section, Table
from ledger.audit.reporting.exact import Cell, Unit
from ledger.audit.reporting.facts import EpochFacts
from ledger.model.units import to_hex
from ledger.tree.keccak import checksum_address

SOURCES: Final = {
    1: "solar", 2: "wind", 3: "hydro", 4: "geothermal", 5: "biomass", 6: "nuclear", 7: "storage", 8: "other",
}  # fmt: skip
_COLUMNS: Final = (
    Column(name="epoch", heading="Epoch", unit=Unit.COUNT),
    Column(name="registry", heading="Registry"),
    Column(name="issuance", heading="Issuance"),
    Column(name="range", heading="Wh ids"),
    Column(name="credited_wh", heading="Credited", unit=Unit.WH),
    Column(name="tier", heading="Tier"),
    Column(name="source", heading="Source"),
    Column(name="device", heading="Device"),
    Column(name="production", heading="Produced (UTC)"),
    Column(name="zone", heading="Zone"),
    Column(name="node", heading="Node"),
    Column(name="hour", heading="For the hour (UTC)"),
    Column(name="beneficiary", heading="Beneficiary"),
    Column(name="cancelled", heading="Cancelled (UTC)"),
    Column(name="cancellation", heading="Cancellation"),
)


def certificates(period: Sequence[EpochFacts]) -> Section:
    """One row a claim that was credited, whole or in part."""
    rows: list[Sequence[Cell]] = []
    for facts in period:
        rows += [_row(facts, row) for row in facts.claims.iter_rows(named=True)]
    found = Table(
        name="certificates",
        title="Certificates used",
        columns=_COLUMNS,
        rows=rows,
        note="" if rows else "No certificate was credited.",
    )
    sentences = [
        (
            "Tier 1 was produced in the hour it is used for; tier 2 only within half a year of the epoch, and it"
            " reduces no market-based figure here. One Wh id is credited once, ever (R2.23)."
        )
    ]
    return Section(rule="R7.4", title="Certificates", sentences=sentences, tables=[found])


def _row(facts: EpochFacts, row: dict[str, object]) -> list[Cell]:
    text = {name: to_hex(value) if isinstance(value, bytes) else value for name, value in row.items()}
    tier = int(str(row["tier"]))
    return [
        facts.epoch,
        str(text["registry_id"]),
        str(text["issuance_id"]),
        f"{row['range_start']}–{row['range_end']}",
        int(str(row["credited_wh"])),
        str(tier),
        SOURCES.get(int(str(row["source"])), str(row["source"])),
        str(text["device_id"]),
        f"{moment(int(str(row['production_start'])))} – {moment(int(str(row['production_end'])))}",
        str(row["zone"]),
        str(text["node_id"]),
        moment(int(str(row["consumption_hour"]))) if tier == 1 else "–",
        checksum_address(bytes(row["beneficiary"])),  # type: ignore[call-overload]  # the frame's own bytes
        moment(int(str(row["cancelled_at"]))),
        str(text["cancellation_ref"]),
    ]
