"""The worked example, signed by its verifiers and judged like any evidence, pays what the specification says."""

import json
from pathlib import Path

import polars as pl
import pytest

from ledger.audit.calculator import recompute
from ledger.demo.worked_example import WorkedExample
from ledger.evidence.items.typed_data import Domain
from ledger.evidence.judging.acceptance import judge
from ledger.evidence.judging.frozen import FrozenEvidence, Judgement
from ledger.evidence.judging.used_ranges import UsedRegister
from ledger.model.allocation import Opening
from ledger.model.units import Address, EpochNumber, Hash32, MicrogramsCo2e, Wei
from ledger.rules import rules_for

DOMAIN = Domain(chain_id=31_337, verifying_contract=Address(b"\x42" * 20))
EPOCH = EpochNumber(0)
OPENING = Opening(rollover_in_wei=Wei(0), carried_in_ug=MicrogramsCo2e(0))
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def example() -> WorkedExample:
    return WorkedExample()


@pytest.fixture(scope="module")
def judgement(example: WorkedExample) -> Judgement:
    return judge(
        FrozenEvidence(
            epoch=EPOCH,
            calendar=example.calendar,
            domain=DOMAIN,
            roles=example.roles(),
            roles_block=1,
            roles_block_hash=Hash32(b"\x07" * 32),
            policy=example.policy,
            tables=example.tables,
            registrations=list(example.registrations(DOMAIN)),
            batches=list(example.batches(EPOCH, DOMAIN)),
            revocations=list(example.revocations(EPOCH, DOMAIN)),
            previous_holders={},
            used=UsedRegister.empty(),
        )
    )


def test_nothing_of_it_is_refused(judgement: Judgement) -> None:
    assert judgement.verdicts.filter(pl.col("code") != "").is_empty()


def test_it_pays_the_published_amounts_to_the_wei(example: WorkedExample, judgement: Judgement) -> None:
    result = rules_for("v1").allocate(judgement.accepted, example.policy, example.tables, OPENING)
    rows = {row["node_id"]: row for row in result.statements.iter_rows(named=True)}
    for node, entry in zip(example.nodes, example.document["nodes"], strict=True):
        expected, row = entry["expected"], rows[node.node_id]
        assert row["pay_wei"] == int(expected["payWei"])
        assert (row["base_wei"], row["efficiency_wei"], row["green_wei"]) == tuple(
            int(expected[name]) for name in ("baseWei", "efficiencyWei", "greenWei")
        )
        assert row["weight"] == int(expected["W"])
        assert row["m2_wh"] == expected["m2Wh"]
        assert row["tier2_wh"] == entry["input"]["tier2Wh"]
    totals, published = result.totals, example.document["result"]
    assert totals.carbon_wei == int(published["carbonWei"])
    assert totals.reserve_wei == int(published["reserveWei"])
    assert totals.residual_ug == int(published["residualUg"])
    assert totals.left_over_wei == published["leftOverWei"]


def test_the_auditors_calculator_agrees(example: WorkedExample, judgement: Judgement) -> None:
    result = rules_for("v1").allocate(judgement.accepted, example.policy, example.tables, OPENING)
    assert recompute(judgement.accepted, example.policy, example.tables, OPENING).totals == result.totals


def test_it_is_the_same_example_as_the_golden_vector(example: WorkedExample) -> None:
    golden = json.loads((ROOT / "tests/vectors/golden/worked-example.json").read_text(encoding="utf-8"))
    assert example.document["nodes"] == golden["nodes"]
    assert example.document["result"] == golden["result"]


def test_only_its_first_epoch_has_evidence(example: WorkedExample) -> None:
    assert list(example.batches(EpochNumber(1), DOMAIN)) == []
