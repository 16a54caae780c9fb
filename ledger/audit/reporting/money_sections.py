"""Sections R7.6, R7.8 and R7.9: carbon retired and owed, rewards, and the evidence that the controls worked."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from ledger.audit.reporting.carbon_sections import moment
from ledger.audit.reporting.document import Bar, Column, Drawing, Section, Table
from ledger.audit.reporting.exact import Cell, Ratio, Unit, text_of
from ledger.audit.reporting.facts import EpochFacts
from ledger.audit.reporting.scopes import Scope
from ledger.model.refusals import REFUSALS
from ledger.model.units import to_hex
from ledger.tree.keccak import checksum_address

_NOT_ON_FILE: Final = "not on file"
EQUIVOCATIONS: Final = ("batch.fork", "registration.fork", "record.equivocation")


def retirements(period: Sequence[EpochFacts]) -> Section:
    """R7.6."""
    owed = Table(
        name="liability",
        title="Liability: market-based emissions, what the carve-out paid for, what is carried forward",
        columns=(
            Column(name="epoch", heading="Epoch", unit=Unit.COUNT),
            Column(name="carried_in_ug", heading="Carried in", unit=Unit.UG),
            Column(name="market_ug", heading="Market-based, hourly", unit=Unit.UG),
            Column(name="location_ug", heading="Location-based", unit=Unit.UG),
            Column(name="paid_for_ug", heading="Paid for", unit=Unit.UG),
            Column(name="carried_out_ug", heading="Carried forward", unit=Unit.UG),
            Column(name="carbon_wei", heading="Carve-out", unit=Unit.WEI),
            Column(name="price_wei", heading="Price per tonne", unit=Unit.WEI),
        ),
        rows=[
            [
                facts.epoch,
                facts.totals.carried_in_ug,
                facts.totals.residual_ug,
                facts.totals.location_ug,
                facts.totals.carried_in_ug + facts.totals.residual_ug - facts.totals.carried_out_ug,
                facts.totals.carried_out_ug,
                facts.totals.carbon_wei,
                facts.policy.carbon_price_wei_per_tonne,
            ]
            for facts in period
        ],
    )
    done = [each for facts in period for each in facts.retirements]
    rows: list[Sequence[Cell]] = [
        [
            moment(each.at),
            each.retired_ug,
            each.payment_wei,
            Ratio.of(each.payment_wei * 10**12, each.retired_ug * 10**18),
            checksum_address(each.supplier),
            each.project or _NOT_ON_FILE,
            each.serials or _NOT_ON_FILE,
            to_hex(each.certificate_hash),
            each.uri,
            to_hex(each.transaction),
        ]
        for each in done
    ]
    retired = Table(
        name="retirements",
        title="Retirements mined within the period",
        columns=(
            Column(name="at", heading="Block time (UTC)"),
            Column(name="retired_ug", heading="Retired", unit=Unit.UG_AS_TONNES),
            Column(name="payment_wei", heading="Paid", unit=Unit.WEI),
            Column(name="price", heading="ATH per tonne", unit=Unit.PUE),
            Column(name="supplier", heading="Supplier"),
            Column(name="project", heading="Project"),
            Column(name="serials", heading="Serial numbers"),
            Column(name="certificate", heading="Hash of the certificate"),
            Column(name="uri", heading="Where it lies"),
            Column(name="transaction", heading="Transaction"),
        ),
        rows=rows,
        note="" if rows else "None.",
    )
    sentences = [
        "Retirements are shown for themselves. They reduce neither the location-based nor the market-based figure.",
        (
            "Project and serial numbers are quoted from the certificate whose hash the vault recorded, where a copy"
            " of it is on file."
        ),
    ]
    return Section(rule="R7.6", title="Carbon retired and carried", sentences=sentences, tables=[owed, retired])


def rewards(scopes: Sequence[Scope], period: Sequence[EpochFacts]) -> Section:
    """R7.8: where every wei went."""
    identity = Table(
        name="budget",
        title="Budget + rollover in = operators + carbon + reserve + rollover out",
        columns=(
            Column(name="epoch", heading="Epoch", unit=Unit.COUNT),
            Column(name="budget_wei", heading="Budget", unit=Unit.WEI),
            Column(name="rollover_in_wei", heading="Rollover in", unit=Unit.WEI),
            Column(name="operators_wei", heading="Operators", unit=Unit.WEI),
            Column(name="carbon_wei", heading="Carbon", unit=Unit.WEI),
            Column(name="reserve_wei", heading="Reserve", unit=Unit.WEI),
            Column(name="rollover_out_wei", heading="Rollover out", unit=Unit.WEI),
            Column(name="conserved", heading="Adds up to the wei"),
        ),
        rows=[
            [
                facts.epoch, facts.totals.budget_wei, facts.totals.rollover_in_wei, facts.totals.payout_wei,
                facts.totals.carbon_wei, facts.totals.reserve_wei, facts.totals.rollover_out_wei,
                "yes" if facts.totals.conserves else "NO",
            ]
            for facts in period
        ],
    )  # fmt: skip
    paid = Table(
        name="payouts",
        title="Payouts by zone and country",
        columns=(
            Column(name="scope", heading="Scope"),
            Column(name="name", heading="Name"),
            Column(name="pay_wei", heading="Operators", unit=Unit.WEI),
            Column(name="base_wei", heading="base", unit=Unit.WEI),
            Column(name="efficiency_wei", heading="efficiency", unit=Unit.WEI),
            Column(name="green_wei", heading="green", unit=Unit.WEI),
        ),
        rows=[
            [each.kind, each.name, sums.pay_wei, sums.base_wei, sums.efficiency_wei, sums.green_wei]
            for each in scopes
            for sums in (each.nodes,)
        ],
    )
    parts = (
        ("operators", sum(facts.totals.payout_wei for facts in period)),
        ("carbon", sum(facts.totals.carbon_wei for facts in period)),
        ("reserve", sum(facts.totals.reserve_wei for facts in period)),
        ("rollover out", period[-1].totals.rollover_out_wei),
    )
    drawing = Drawing(
        title="Where the budget went",
        bars=[Bar(label=name, value=wei, text=f"{text_of(wei, Unit.WEI)} ATH") for name, wei in parts],
    )
    return Section(rule="R7.8", title="Rewards", tables=[identity, paid, _factors(period)], drawings=[drawing])


def _factors(period: Sequence[EpochFacts]) -> Table:
    names = (
        "node_id", "zone", "country", "model", "gpu_count", "capacity", "uptime", "efficiency", "green",
        "multiplier", "weight", "pay_wei", "reasons",
    )  # fmt: skip
    rows: list[Sequence[Cell]] = []
    for facts in period:
        for row in facts.statements.select(names).iter_rows():
            rows.append([facts.epoch, to_hex(row[0]), *row[1:]])
    return Table(
        name="nodes",
        title="Factors of every node",
        columns=(
            Column(name="epoch", heading="Epoch", unit=Unit.COUNT),
            Column(name="node", heading="Node"),
            Column(name="zone", heading="Zone"),
            Column(name="country", heading="Country"),
            Column(name="model", heading="Model"),
            Column(name="gpu_count", heading="GPUs", unit=Unit.COUNT),
            Column(name="c_milli", heading="C", unit=Unit.MILLI),
            Column(name="u_ppm", heading="U", unit=Unit.PPM),
            Column(name="e_ppm", heading="E", unit=Unit.PPM),
            Column(name="g_ppm", heading="G", unit=Unit.PPM),
            Column(name="m_ppm", heading="M", unit=Unit.PPM),
            Column(name="weight", heading="W", unit=Unit.COUNT),
            Column(name="pay_wei", heading="Payout", unit=Unit.WEI),
            Column(name="reasons", heading="Reasons"),
        ),
        rows=rows,
    )


def controls(period: Sequence[EpochFacts]) -> Section:
    """R7.9: what the controls did in the period."""
    return Section(
        rule="R7.9",
        title="Control evidence",
        tables=[_accepted(period), _refused(period), _margins(period), _equivocations(period), _late(period)],
    )


def _accepted(period: Sequence[EpochFacts]) -> Table:
    counts: Counter[str] = Counter()
    for facts in period:
        counts.update(dict(facts.accepted_items))
    return Table(
        name="accepted",
        title="Accepted",
        columns=(Column(name="kind", heading="Item"), Column(name="count", heading="Accepted", unit=Unit.COUNT)),
        rows=[[kind, count] for kind, count in sorted(counts.items())],
    )


def _refused(period: Sequence[EpochFacts]) -> Table:
    counts: Counter[tuple[str, str]] = Counter()
    for facts in period:
        for record, code in facts.verdicts.select("record", "code").iter_rows():
            if code:
                counts["item" if record < 0 else "record", code] += 1
        for code in facts.hours_refused["code"]:
            counts["hour", code] += 1
    return Table(
        name="refused",
        title="Refused, by code",
        columns=(
            Column(name="scope", heading="What"),
            Column(name="code", heading="Code"),
            Column(name="count", heading="Refused", unit=Unit.COUNT),
            Column(name="meaning", heading="Meaning"),
        ),
        rows=[
            [scope, code, count, REFUSALS[code].meaning if code in REFUSALS else ""]
            for (scope, code), count in sorted(counts.items())
        ],
        note="" if counts else "Nothing was refused.",
    )


def _margins(period: Sequence[EpochFacts]) -> Table:
    """How many passes above the quorum the nodes had, and how their hours resolved."""
    rows: list[Sequence[Cell]] = []
    for facts in period:
        frame = facts.statements
        margins = Counter(passes - facts.policy.quorum_q for passes in frame["capacity_passes"])
        spread = ", ".join(f"{margin:+d}: {count}" for margin, count in sorted(margins.items()))
        sums = [int(frame[name].sum() or 0) for name in ("hours_resolved", "hours_unresolved", "hours_unobserved")]
        rows.append(
            [facts.epoch, f"{facts.policy.quorum_q} of {facts.policy.quorum_k}", spread, sums[0],
             Ratio.of(sums[1], sum(sums)), Ratio.of(sums[2], sum(sums))]
        )  # fmt: skip
    return Table(
        name="quorum",
        title="Quorum margins",
        columns=(
            Column(name="epoch", heading="Epoch", unit=Unit.COUNT),
            Column(name="quorum", heading="Quorum"),
            Column(name="margins", heading="PASS verdicts above the quorum: nodes"),
            Column(name="hours_resolved", heading="Node-hours resolved", unit=Unit.COUNT),
            Column(name="unresolved", heading="unresolved", unit=Unit.SHARE),
            Column(name="unobserved", heading="unobserved", unit=Unit.SHARE),
        ),
        rows=rows,
    )


def _equivocations(period: Sequence[EpochFacts]) -> Table:
    rows: list[Sequence[Cell]] = []
    for facts in period:
        found = facts.verdicts.select("item", "record", "verifier", "code", "detail").iter_rows()
        for item, record, verifier, code, detail in found:
            if code in EQUIVOCATIONS:
                whole = "whole" if record < 0 else str(record)
                rows.append([facts.epoch, code, checksum_address(verifier), to_hex(item), whole, detail])
    return Table(
        name="equivocations",
        title="Equivocations: signers who said two things",
        columns=(
            Column(name="epoch", heading="Epoch", unit=Unit.COUNT),
            Column(name="code", heading="Code"),
            Column(name="signer", heading="Signer"),
            Column(name="item", heading="Item"),
            Column(name="record", heading="Record"),
            Column(name="detail", heading="What"),
        ),
        rows=rows,
        note="" if rows else "None.",
    )


def _late(period: Sequence[EpochFacts]) -> Table:
    rows: list[Sequence[Cell]] = [
        [facts.epoch, moment(each.received_at), checksum_address(each.signer), to_hex(each.uid)]
        for facts in period
        for each in facts.late_revocations
    ]
    return Table(
        name="late-revocations",
        title="Revocations after the freeze: disclosed, without effect (R3.14)",
        columns=(
            Column(name="epoch", heading="Epoch", unit=Unit.COUNT),
            Column(name="received", heading="Received (UTC)"),
            Column(name="signer", heading="Signer"),
            Column(name="revocation", heading="Revocation"),
        ),
        rows=rows,
        note="" if rows else "None.",
    )
