"""Explanations: every wei accounted for, every cost exact, every refusal with its remedy (R4.20, interfaces)."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from ledger.db import epochs, items
from ledger.demo.network import DemoNetwork
from ledger.evidence.storage.item_files import read_registration
from ledger.evidence.storage.store import ItemKind, stored_batch
from ledger.model.allocation import NodeStatement
from ledger.model.epoch import EpochState
from ledger.model.errors import MismatchError, UsageError
from ledger.model.refusals import REFUSALS
from ledger.model.units import PPM, Address, EpochNumber, Hash32, Timestamp, to_hex
from ledger.rehearsal import Rehearsal
from ledger.rules.statements import operator_totals, statement_rows
from ledger.steps.answers import explain as explaining
from ledger.steps.answers.explain import (
    Explanation,
    NodeMissingError,
    comparison_rows,
    explain,
    last_computed,
    node_rows,
)
from ledger.steps.answers.index.evidence_index import evidence_index
from ledger.steps.answers.index.statement_index import OperatorSum, statement_index
from ledger.steps.answers.missed_thresholds import percent
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.statements import statements_of
from ledger.steps.recorded.totals import totals_of

LAST = EpochNumber(1)


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """Sixty nodes, two days, both final: with every fault the demo network makes on purpose."""
    rehearsal = Rehearsal.create(tmp_path_factory.mktemp("explained") / "ledger", DemoNetwork(nodes=60, operators=8))
    ledger = rehearsal.deploy(lambda _step: None)
    rehearsal.register(ledger)
    for number in range(LAST + 1):
        rehearsal.attest(ledger, EpochNumber(number))
    for number in range(LAST + 1):
        list(rehearsal.settle(ledger, EpochNumber(number)))
    rehearsal.stop()
    yield ledger
    ledger.close()


@pytest.fixture(scope="module")
def explained(settled: Ledger) -> list[Explanation]:
    """Every node of the last epoch, explained."""
    return [explain(settled, LAST, to_hex(paid.node_id)) for paid in paid_nodes(settled, LAST)]


def paid_nodes(ledger: Ledger, epoch: EpochNumber) -> list[NodeStatement]:
    with ledger.database.reading() as session:
        return list(statement_rows(statements_of(ledger.artefacts, session, epoch, 1)))


def split_again(ledger: Ledger, node: NodeStatement, weight: int) -> int:
    """What the node would get with this weight, by largest remainders over all nodes (R4.17), the slow way."""
    with ledger.database.reading() as session:
        pool = totals_of(session, LAST).pool_wei
    weights = {each.node_id: each.weight for each in paid_nodes(ledger, LAST)} | {node.node_id: weight}
    total = sum(weights.values())
    shares = {each: pool * mine // total for each, mine in weights.items()}
    by_remainder = sorted(weights, key=lambda each: (-(pool * weights[each] % total), each))
    winners = by_remainder[: pool - sum(shares.values())]
    return shares[node.node_id] + (node.node_id in winners)


def test_every_nodes_lines_sum_to_its_payout_and_the_payouts_to_the_pool(
    settled: Ledger, explained: list[Explanation]
) -> None:
    assert len(explained) == 60
    for each in explained:
        paid = each.paid
        assert paid.base_wei + paid.efficiency_wei + paid.green_wei == paid.pay_wei
        assert each.totals.pool_wei * paid.weight // each.totals.sum_weight + each.rounding_wei == paid.pay_wei
        assert each.rounding_wei in (0, 1)
    assert sum(each.rounding_wei for each in explained) == explained[0].totals.left_over_wei
    assert sum(each.paid.pay_wei for each in explained) == explained[0].totals.pool_wei


def test_every_factor_shown_is_the_statements_and_names_its_rule_and_policy(explained: list[Explanation]) -> None:
    names = {
        "C": "capacity", "u": "u_ppm", "U": "uptime", "s": "s_ppm", "E": "efficiency", "match": "match_ppm",
        "grid": "grid_ppm", "G": "green", "M": "multiplier", "W": "weight", "pay": "pay_wei",
    }  # fmt: skip
    for each in explained:
        assert {line.symbol: line.value for line in each.factors} == {
            symbol: getattr(each.paid, name) for symbol, name in names.items()
        }
        assert all(line.rule.startswith("R") and line.policy_version == each.policy.version for line in each.factors)


def test_a_missed_ramp_costs_exactly_what_the_minutes_to_its_end_would_have_brought(
    settled: Ledger, explained: list[Explanation]
) -> None:
    missed_it = [
        each
        for each in explained
        if each.policy.policy.u_min_ppm < each.paid.u_ppm < each.policy.policy.u_full_ppm and each.paid.capacity
    ]
    assert missed_it
    for each in missed_it:
        paid, nearest = each.paid, each.nearest
        assert nearest is not None
        assert nearest.name == "uptime-full-ramp"
        minutes = nearest.changes["up_minutes"]
        u = minutes * PPM // paid.expected_minutes
        assert u >= each.policy.policy.u_full_ppm > (minutes - 1) * PPM // paid.expected_minutes
        assert nearest.cost_wei == split_again(settled, paid, paid.capacity * u * paid.multiplier) - paid.pay_wei
        assert nearest.cost_wei > 0
        assert f"{percent(paid.u_ppm)} uptime, need 99 % for the full ramp" in nearest.sentence


def test_low_efficiency_is_a_memo_that_costs_what_the_reference_would_have_earned(
    settled: Ledger, explained: list[Explanation]
) -> None:
    wasteful = [each for each in explained if each.paid.efficiency < PPM and each.paid.weight]
    assert wasteful
    for each in wasteful:
        paid = each.paid
        multiplier = min(each.policy.policy.max_mult_ppm, paid.green)
        expected = split_again(settled, paid, paid.capacity * paid.uptime * multiplier) - paid.pay_wei
        assert each.low_efficiency_wei == expected > 0
    assert all(each.low_efficiency_wei == 0 for each in explained if each.paid.efficiency >= PPM)


def test_a_node_that_was_down_all_day_learns_every_threshold_and_what_they_cost_together(
    settled: Ledger, explained: list[Explanation]
) -> None:
    idle = [each for each in explained if each.paid.uptime == 0 and each.paid.expected_minutes]
    assert idle
    for each in idle:
        names = {missed.name for missed in each.missed}
        assert {"uptime-minimum", "uptime-full-ramp"} <= names
        assert each.paid.pay_wei == 0
        assert each.together_wei is not None
        full = -(-each.policy.policy.u_full_ppm * each.paid.expected_minutes // PPM)
        figures = next(line for line in each.factors if line.symbol == "C").inputs
        capacity = figures["gpu_count"] * figures["capacity_milli"]
        weight = capacity * (full * PPM // each.paid.expected_minutes) * each.paid.multiplier
        assert each.together_wei == split_again(settled, each.paid, weight) > 0


def test_the_nearest_threshold_comes_first(explained: list[Explanation]) -> None:
    for each in explained:
        distances = [missed.distance_ppm for missed in each.missed]
        assert distances == sorted(distances)


def test_every_record_about_a_node_is_listed_with_its_batch(settled: Ledger, explained: list[Explanation]) -> None:
    about: dict[bytes, int] = {}
    for stored in settled.evidence.list(ItemKind.BATCH):
        batch = stored_batch(settled.evidence, stored.uid, settled.domain)
        if batch.header.epoch == LAST and "node_id" in batch.records().columns:
            for node_id in batch.records()["node_id"].to_list():
                about[node_id] = about.get(node_id, 0) + 1
    for each in explained:
        listed = sum(len(use.records) for use in each.evidence.batches if use.schema != "grid")
        assert listed == about[each.paid.node_id]
        assert {use.verdict for use in each.evidence.batches} <= {"accepted", *REFUSALS}
        assert all(use.counted == 0 for use in each.evidence.batches if use.verdict != "accepted")


def test_credited_watt_hours_are_shown_once_in_all(explained: list[Explanation]) -> None:
    assert any(each.paid.tier1_wh for each in explained)
    for each in explained:
        shown = sum(int(use.says["credited_wh"]) for use in each.evidence.batches if use.schema == "renewable")
        assert shown == each.paid.tier1_wh + each.paid.tier2_wh


def test_everything_refused_is_shown_with_its_meaning_and_remedy(settled: Ledger, explained: list[Explanation]) -> None:
    with settled.database.reading() as session:
        counts = epochs.verdict_counts(session, LAST, 1)
    of_records = {code for (scope, code), _ in counts.items() if scope == "record" and code}
    shown = {refusal.code for each in explained for refusal in each.evidence.refusals}
    assert of_records <= shown
    assert {"batch.gap", "batch.revoked", "energy.implausible", "energy.missing", "batch.late"} <= shown
    for each in explained:
        for refusal in each.evidence.refusals:
            if refusal.code:
                assert refusal.remedy == REFUSALS[refusal.code].remedy


def test_a_charged_node_is_told_which_batch_was_refused_at_the_door(explained: list[Explanation]) -> None:
    charged = [each for each in explained if "energy.missing" in each.paid.reasons]
    assert charged
    for each in charged:
        assert any(refusal.scope == "door" and refusal.code == "batch.late" for refusal in each.evidence.refusals)
    content = [each for each in explained if not each.paid.hours_charged and not each.paid.hours_unobserved]
    assert all(refusal.scope != "door" for each in content if each.paid.capacity for refusal in each.evidence.refusals)


def test_what_comes_after_an_epoch_became_final_changes_no_explanation_of_it(
    settled: Ledger, explained: list[Explanation]
) -> None:
    """A final epoch's answers may be cached for ever."""
    told = next(
        (each, refusal)
        for each in explained
        for refusal in each.evidence.refusals
        if refusal.scope == "door" and refusal.code == "batch.late"
    )
    with settled.database.transaction() as session:
        items.record_refusal(
            session, uid=Hash32(b"\7" * 32), kind=ItemKind.BATCH.value, signer=told[1].verifier, epoch=LAST,
            code="batch.late", detail="years later", received_at=Timestamp(2_000_000_000), file_digest=None,
        )  # fmt: skip
        assert items.last_refusal(session) > epochs.facts(session, LAST, EpochState.FINAL)["lastRefusal"]
    settled.remembered.clear()
    assert explain(settled, LAST, to_hex(told[0].paid.node_id)) == told[0]


def test_a_unique_beginning_of_the_id_names_the_node_and_an_ambiguous_one_does_not(
    settled: Ledger, explained: list[Explanation]
) -> None:
    node = explained[0].paid.node_id
    assert explain(settled, LAST, node.hex()[:12].upper()).paid == explained[0].paid
    first_digits = [each.paid.node_id.hex()[0] for each in explained]
    most = max(first_digits, key=first_digits.count)
    with pytest.raises(UsageError, match=rf"{first_digits.count(most)} nodes of epoch 1 begin with 0x{most}"):
        explain(settled, LAST, most)


@pytest.mark.parametrize("text", ["", "0x", "xyz", "0" * 65])
def test_what_is_no_beginning_of_an_id_is_refused(settled: Ledger, text: str) -> None:
    with pytest.raises(UsageError):
        explain(settled, LAST, text)


def test_a_node_nobody_registered_is_not_found(settled: Ledger) -> None:
    with pytest.raises(NodeMissingError) as caught:
        explain(settled, LAST, "f" * 64)
    assert caught.value.exit_code == 3


def test_a_node_whose_registration_was_refused_is_told_why(settled: Ledger) -> None:
    with settled.database.reading() as session:
        verdicts = pl.read_parquet(settled.artefacts.path(session, LAST, 1, "verdicts"))
    uid = verdicts.filter(pl.col("code") == "registration.gpu")["item"][0]
    content = settled.evidence.get(ItemKind.REGISTRATION, uid)
    thief = to_hex(read_registration(content, settled.domain).registration.node_id)
    with pytest.raises(NodeMissingError, match=r"registration\.gpu") as caught:
        explain(settled, LAST, thief)
    assert caught.value.hint == REFUSALS["registration.gpu"].remedy


def test_the_epoch_before_is_compared_figure_by_figure(settled: Ledger, explained: list[Explanation]) -> None:
    before = {each.node_id: each for each in paid_nodes(settled, EpochNumber(0))}
    for each in explained:
        rows = {row["figure"]: row for row in comparison_rows(each)}
        old = before[each.paid.node_id]
        assert int(rows["pay_wei"]["change"]) == each.paid.pay_wei - old.pay_wei
        assert int(rows["uptime"]["before"]) == old.uptime
        assert int(rows["pool_wei"]["now"]) == each.totals.pool_wei
    assert comparison_rows(explain(settled, EpochNumber(0), to_hex(explained[0].paid.node_id))) == []


def test_an_operators_nodes_are_listed_and_looked_among(settled: Ledger, explained: list[Explanation]) -> None:
    paid = explained[0].paid
    rows = node_rows(settled, LAST, paid.operator)
    assert sum(row["payout_wei"] for row in rows) == explained[0].operator_wei
    other = next(each.paid.operator for each in explained if each.paid.operator != paid.operator)
    assert explain(settled, LAST, paid.node_id.hex(), paid.operator).paid == paid
    with pytest.raises(NodeMissingError):
        explain(settled, LAST, paid.node_id.hex(), other)


def test_a_statement_that_does_not_follow_from_the_rules_is_not_explained(explained: list[Explanation]) -> None:
    paid = next(each.paid for each in explained if each.paid.pay_wei)
    with pytest.raises(MismatchError, match="do not sum"):
        explaining._check(replace(paid, base_wei=paid.base_wei + 1), paid, LAST)
    with pytest.raises(MismatchError, match="does not follow from the rules: \\['uptime'\\]"):
        explaining._check(replace(paid, uptime=paid.uptime + 1), paid, LAST)


def test_an_altered_statements_file_explains_nothing(settled: Ledger, explained: list[Explanation]) -> None:
    with settled.database.reading() as session:
        path: Path = settled.artefacts.path(session, LAST, 1, "statements")
    intact = path.read_bytes()
    path.write_bytes(intact[:200] + bytes([intact[200] ^ 1]) + intact[201:])
    try:
        with pytest.raises(MismatchError, match="recorded was"):
            explain(settled, LAST, to_hex(explained[0].paid.node_id))
    finally:
        path.write_bytes(intact)


def test_the_index_has_every_statement_and_every_operators_sums(settled: Ledger) -> None:
    paid = paid_nodes(settled, LAST)
    with settled.database.reading() as session:
        index = statement_index(settled, session, LAST, 1)
        totals = operator_totals(statements_of(settled.artefacts, session, LAST, 1))
    assert index.page() == paid == [index.find(each.node_id) for each in paid]
    assert [index.place(each.node_id) for each in paid] == list(range(len(paid)))
    assert index.weights() == [each.weight for each in paid]
    assert [(each.operator, *each[2:]) for each in index.operator_sums()] == [tuple(total) for total in totals]
    assert index.counts() == (len(paid), len(totals))
    assert index.find(bytes(32)) is None
    assert index.operator_sum(Address(bytes(20))) is None


def test_pages_behind_a_place_are_the_whole_in_order(settled: Ledger) -> None:
    paid = paid_nodes(settled, LAST)
    mine = [each for each in paid if each.operator == paid[0].operator]
    with settled.database.reading() as session:
        index = statement_index(settled, session, LAST, 1)
    for limit in (1, 7, 60, 100):
        for operator, expected in ((None, paid), (paid[0].operator, mine)):
            found: list[NodeStatement] = []
            while rows := index.page(after=found[-1].node_id if found else None, limit=limit, operator=operator):
                assert len(rows) <= limit
                found += rows
            assert found == expected
        sums: list[OperatorSum] = []
        while some := index.operator_sums(after=sums[-1].operator if sums else None, limit=limit):
            sums += some
        assert sums == index.operator_sums()


def test_the_index_of_the_evidence_has_every_verdict_on_batches_and_registrations(settled: Ledger) -> None:
    with settled.database.reading() as session:
        verdicts = pl.read_parquet(settled.artefacts.path(session, LAST, 1, "verdicts"))
        index = evidence_index(settled, session, LAST, 1)
    batches = verdicts.filter(pl.col("kind") == "batch")
    for uid, code, detail in batches.filter(pl.col("record") == -1).select("item", "code", "detail").iter_rows():
        judged = index.find_batch(uid)
        assert judged is not None
        assert (judged.code, judged.detail) == (code, detail)
        notes = batches.filter((pl.col("item") == uid) & (pl.col("record") != -1)).select("record", "code", "detail")
        assert index.notes(judged.number) == notes.rows()
    assert index.find_batch(Hash32(bytes(32))) is None
    registered = verdicts.filter(pl.col("kind") == "registration")
    for operator in registered["verifier"].unique().to_list():
        mine = registered.filter(pl.col("verifier") == operator).select("item", "code").rows()
        assert [(each.uid, each.code) for each in index.registrations(operator)] == mine
    for each in index.refused_registrations():
        content = settled.evidence.get(ItemKind.REGISTRATION, each.uid)
        assert each.node_id == read_registration(content, settled.domain).registration.node_id


def test_an_index_that_was_tampered_with_is_derived_again(settled: Ledger, explained: list[Explanation]) -> None:
    assert settled.cache is not None
    settled.remembered.clear()
    for place in settled.cache.glob("*.sqlite"):
        content = bytearray(place.read_bytes())
        content[len(content) // 2] ^= 1
        place.write_bytes(content)
    for each in explained[::7]:
        assert explain(settled, LAST, to_hex(each.paid.node_id)) == each


def test_without_its_prepared_registrations_an_index_says_the_same(
    settled: Ledger, explained: list[Explanation], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("ledger.db.parts.every_part", lambda _session, _kind: iter(()))
    settled.remembered.clear()
    kept, settled.cache = settled.cache, tmp_path
    try:
        assert [explain(settled, LAST, to_hex(each.paid.node_id)) for each in explained[::7]] == explained[::7]
    finally:
        settled.cache = kept
        settled.remembered.clear()


def test_the_newest_computed_epoch_is_the_default(settled: Ledger) -> None:
    assert last_computed(settled) == LAST


@pytest.mark.parametrize(
    ("ppm", "text"),
    [(942_000, "94.2 %"), (990_000, "99 %"), (0, "0 %"), (968_841, "96.8841 %"), (-12_500, "-1.25 %")],
)
def test_shares_are_written_with_every_digit_that_matters(ppm: int, text: str) -> None:
    assert percent(ppm) == text
