"""The demo network: a real fleet, signed evidence that repeats exactly, and refusals that are meant."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from ledger.audit.calculator import recompute
from ledger.demo.energy import is_metered_twice, is_silent
from ledger.demo.figures import fleet, hourly_grid, read_text
from ledger.demo.network import DemoNetwork
from ledger.demo.stream import Stream
from ledger.demo.tables import default_policy, demo_tables
from ledger.demo.uptime import is_overstated
from ledger.evidence.items.typed_data import Domain
from ledger.evidence.judging.acceptance import judge
from ledger.evidence.judging.frozen import FrozenEvidence, Judgement
from ledger.evidence.judging.used_ranges import UsedRegister
from ledger.model.allocation import Opening
from ledger.model.epoch import EpochCalendar
from ledger.model.units import Address, EpochNumber, Hash32, Timestamp
from ledger.rules import rules_for
from ledger.rules.allocation import Allocation

ROOT = Path(__file__).parents[2]
DOMAIN = Domain(chain_id=31_337, verifying_contract=Address(b"\x42" * 20))
SMALL = 130


def roles_block_hash(epoch: int) -> Hash32:
    return Hash32(bytes([epoch + 7]) * 32)


def run_epochs(network: DemoNetwork, count: int) -> Iterator[tuple[Judgement, Allocation, Opening]]:
    used, holders = UsedRegister.empty(), {}
    opening = Opening(rollover_in_wei=0, carried_in_ug=0)  # type: ignore[arg-type]
    for number in range(count):
        epoch, block_hash = EpochNumber(number), roles_block_hash(number)
        judgement = judge(
            FrozenEvidence(
                epoch=epoch,
                calendar=network.calendar,
                domain=DOMAIN,
                roles=network.roles(),
                roles_block=number,
                roles_block_hash=block_hash,
                policy=network.policy,
                tables=network.tables,
                registrations=list(network.registrations(DOMAIN)),
                batches=list(network.batches(epoch, DOMAIN, block_hash)),
                revocations=list(network.revocations(epoch, DOMAIN)),
                previous_holders=holders,
                used=used,
            )
        )
        result = rules_for("v1").allocate(judgement.accepted, network.policy, network.tables, opening)
        yield judgement, result, opening
        used, holders = judgement.used_after, dict(judgement.gpu_holders)
        opening = Opening(rollover_in_wei=result.totals.rollover_out_wei, carried_in_ug=result.totals.carried_out_ug)


@pytest.fixture(scope="module")
def network() -> DemoNetwork:
    return DemoNetwork(nodes=SMALL, operators=12)


@pytest.fixture(scope="module")
def epochs(network: DemoNetwork) -> list[tuple[Judgement, Allocation, Opening]]:
    return list(run_epochs(network, 2))


def codes(judgement: Judgement) -> set[str]:
    return set(judgement.verdicts["code"].to_list()) - {""}


DELIBERATE = {
    "batch.gap",
    "batch.late",
    "batch.revoked",
    "batch.role",
    "certificate.beneficiary",
    "certificate.capacity",
    "certificate.collision",
    "certificate.registry",
    "certificate.source",
    "record.equivocation",
    "registration.gpu",
    "uptime.not-assigned",
}


def test_every_deliberate_mistake_is_refused_and_nothing_else(
    epochs: list[tuple[Judgement, Allocation, Opening]],
) -> None:
    first, second = epochs
    assert codes(first[0]) == DELIBERATE
    assert codes(second[0]) == DELIBERATE | {"certificate.used"}


def test_the_auditors_calculator_agrees_on_every_wei(
    network: DemoNetwork, epochs: list[tuple[Judgement, Allocation, Opening]]
) -> None:
    for judgement, result, opening in epochs:
        again = recompute(judgement.accepted, network.policy, network.tables, opening)
        assert again.totals == result.totals
        paid = {row["node_id"]: row["pay_wei"] for row in result.statements.iter_rows(named=True)}
        assert {statement.node_id: statement.pay_wei for statement in again.statements} == paid


def test_nodes_with_deliberate_faults_carry_their_reasons(
    network: DemoNetwork, epochs: list[tuple[Judgement, Allocation, Opening]]
) -> None:
    statements = {row["node_id"]: row for row in epochs[0][1].statements.iter_rows(named=True)}
    for node in network.nodes:
        row = statements[node.node_id]
        if is_silent(node):
            assert "energy.missing" in row["reasons"]
            assert row["hours_charged"] == 24
        if is_metered_twice(node):
            assert "energy.disputed" in row["reasons"]
        if is_overstated(node):
            assert "quorum.capacity" in row["reasons"]
            assert row["pay_wei"] == 0


def test_an_outage_of_checkers_leaves_hours_unobserved_and_costs_no_node_anything(
    epochs: list[tuple[Judgement, Allocation, Opening]],
) -> None:
    quiet, outage = (epoch[1].statements for epoch in epochs)
    assert quiet["hours_unobserved"].sum() == 0
    assert outage["hours_unobserved"].sum() > 0
    unobserved = outage.filter(pl.col("hours_unobserved") > 0)
    assert unobserved.filter(pl.col("uptime") == 10**6).height > unobserved.height // 2


def test_statements_look_like_a_network_not_like_a_constant(
    epochs: list[tuple[Judgement, Allocation, Opening]],
) -> None:
    statements = epochs[0][1].statements
    for factor in ("uptime", "efficiency", "green", "multiplier"):
        assert statements[factor].n_unique() > 10, factor
    assert statements.filter(pl.col("m1_wh") > 0).height > SMALL // 10
    assert statements.filter(pl.col("m2_wh") > 0).height > SMALL // 10


def test_the_same_seed_signs_the_same_bytes_and_another_seed_others() -> None:
    def uids(seed: bytes) -> list[bytes]:
        small = DemoNetwork(seed, nodes=9, operators=3)
        items = [*small.registrations(DOMAIN), *small.batches(EpochNumber(0), DOMAIN)]
        return [item.uid + item.signature for item in items]

    assert uids(b"one") == uids(b"one")
    assert not set(uids(b"one")) & set(uids(b"two"))


def test_the_whole_fleet_is_the_traces() -> None:
    nodes = DemoNetwork().nodes
    assert len(nodes) == 1213
    assert sum(node.gpu_count for node in nodes) == 6212
    assert len({node.node_id for node in nodes}) == 1213
    counted = Counter((node.registration.model, node.gpu_count) for node in nodes)
    expected: Counter[tuple[str, int]] = Counter()
    for row in fleet():
        expected[row.model, row.gpus_per_node] += row.nodes
    assert counted == expected
    sizes = Counter(node.operator for node in nodes)
    assert len(sizes) >= 60
    assert max(sizes.values()) > 5 * min(sizes.values())


def test_grid_factors_are_the_published_ones_and_replays_are_marked_as_estimated() -> None:
    published = {zone: [hour.location_ef for hour in hours.values()] for zone, hours in hourly_grid().items()}
    assert {len(hours) for hours in published.values()} == {72}
    network = DemoNetwork(nodes=1, operators=2)
    for number, estimated in ((1, False), (3, True)):
        *_, whole, _ = network.batches(EpochNumber(number), DOMAIN)
        for row in whole.records().iter_rows(named=True):
            factors = [int.from_bytes(row["location_ef"][at : at + 4], "big") for at in range(0, 96, 4)]
            start = number % 3 * 24
            assert factors == published[row["zone"]][start : start + 24]
            assert all(flag & 1 for flag in row["flags"]) or not estimated


def test_the_default_policy_is_within_its_bounds() -> None:
    assert list(default_policy(demo_tables()).violations()) == []


@pytest.mark.parametrize(("nodes", "hours"), [(1, 1), (2, 2), (7, 4), (40, 24)])
def test_small_networks_and_short_epochs_work_too(nodes: int, hours: int) -> None:
    calendar = EpochCalendar(genesis=Timestamp(1_700_002_800), length=hours * 3600)
    network = DemoNetwork(b"short", nodes=nodes, operators=2, calendar=calendar)
    for _, result, _ in run_epochs(network, 2):
        assert result.totals.conserves


def test_every_table_of_figures_names_its_source() -> None:
    sources = read_text("SOURCES.md")
    tables = [path.name for path in (ROOT / "ledger/data/figures").iterdir() if path.name != "SOURCES.md"]
    assert len(tables) >= 7
    assert [name for name in tables if f"`{name}`" not in sources] == []
    assert "Electricity Maps" in sources
    assert "CC-BY" in sources


def test_streams_repeat_and_stay_in_their_bounds() -> None:
    first, again, other = Stream(b"s", "a", 1), Stream(b"s", "a", 1), Stream(b"s", "a", 2)
    draws = [first.between(-3, 3) for _ in range(200)]
    assert draws == [again.between(-3, 3) for _ in range(200)]
    assert draws != [other.between(-3, 3) for _ in range(200)]
    assert set(draws) == set(range(-3, 4))
    picks = Counter(first.weighted((("rare", 1), ("common", 9))) for _ in range(500))
    assert picks["common"] > 5 * picks["rare"] > 0


def test_the_demo_imports_nothing_but_evidence_tree_and_model() -> None:
    allowed = ("ledger.demo", "ledger.evidence", "ledger.tree", "ledger.model")
    for path in (ROOT / "ledger/demo").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ledger"):
                assert node.module is not None
                assert node.module.startswith(allowed), f"{path.name} imports {node.module}"
