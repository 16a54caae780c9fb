"""Simulation against a network that was really governed so: same evidence, same wei in every epoch.

The evidence is made to carry things over: a carbon cap that leaves a liability, an epoch nobody can be paid in,
and nuclear certificates that only the proposal counts, claimed again two epochs later.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from ledger.demo.verifier import BatchChain
from ledger.demo.worked_example import WorkedExample
from ledger.evidence.items.batch import SignedBatch
from ledger.evidence.items.records import Window
from ledger.evidence.items.registration import NodeRegistration
from ledger.evidence.items.typed_data import Domain, Schema
from ledger.evidence.judging.acceptance import judge
from ledger.model.allocation import Opening, Totals
from ledger.model.errors import UsageError
from ledger.model.policy import POLICY_FIELDS, Policy
from ledger.model.units import Bps, EpochNumber, Hash32, Wei
from ledger.rehearsal import Rehearsal
from ledger.rules.statements import operator_totals
from ledger.simulation.document import OtherProposalError, read_simulation
from ledger.simulation.replay import judges_alike
from ledger.steps.governing import simulate as steps
from ledger.steps.governing.policy_change import PolicyBoundsError
from ledger.steps.governing.simulate import BaselineError, announced_proposal, last_epochs, proposal, simulate
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.frozen import load_frozen
from ledger.steps.recorded.statements import statements_of
from ledger.steps.recorded.totals import opening_of, totals_of
from ledger.tree.commitments import policy_hash
from ledger.tree.parameters import policy_document

EPOCHS = [EpochNumber(epoch) for epoch in range(3)]
NUCLEAR = 6
TIGHT_CAP = Bps(20)


class CarryingOver(WorkedExample):
    """Evidence in epochs 0 and 2; B's yearly certificates are nuclear, and the same ones both times."""

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        self.policy: Policy = replace(self.policy, **({"carbon_cap_bps": TIGHT_CAP} | changes))

    def batches(
        self, epoch: EpochNumber, domain: Domain, roles_block_hash: Hash32 | None = None
    ) -> Iterator[SignedBatch]:
        if epoch == 1:
            return
        window = Window(start=self.calendar.start(epoch), end=self.calendar.end(epoch))
        frames = {
            Schema.UPTIME: self._uptime_records(window),
            Schema.ENERGY: self._energy_records(window),
            Schema.RENEWABLE: self._claim_records(window),
            Schema.GRID: self._grid_records(window),
        }
        for verifier in self.verifiers:
            yield BatchChain(verifier, domain, self.calendar, epoch).add(frames[verifier.schema])

    def _claim(
        self, node: NodeRegistration, tier: int, wh: int, produced: tuple[int, int], hour: int, window: Window
    ) -> dict[str, Any]:
        if tier == 1:
            return super()._claim(node, tier, wh, produced, hour, window)
        genesis = self.calendar.genesis
        fixed = Window(start=window.start, end=self.calendar.end(EpochNumber(0)))
        row = super()._claim(node, tier, wh, (genesis - 30 * 86_400, genesis), hour, fixed)
        return row | {"source": NUCLEAR}


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Ledger]]:
    """`before` under one policy; `after` under another one from genesis on, over the same evidence."""
    made: dict[str, Ledger] = {}
    rehearsals = []
    for name, changes in (("before", {}), ("after", {"count_nuclear": True, "carbon_cap_bps": Bps(40)})):
        rehearsal = Rehearsal.create(tmp_path_factory.mktemp(name) / "ledger", CarryingOver(**changes))
        made[name] = rehearsal.deploy(lambda _: None)
        rehearsals.append(rehearsal)
        rehearsal.register(made[name])
        for epoch in EPOCHS:
            rehearsal.attest(made[name], epoch)
        for epoch in EPOCHS:
            list(rehearsal.settle(made[name], epoch))
    yield made
    for ledger, rehearsal in zip(made.values(), rehearsals, strict=True):
        ledger.close()
        rehearsal.stop()


@pytest.fixture
def before(networks: dict[str, Ledger]) -> Ledger:
    return networks["before"]


@pytest.fixture
def after(networks: dict[str, Ledger]) -> Ledger:
    return networks["after"]


WANTED = {"countNuclear": True, "carbonCapBps": 40}


def sealed_totals(ledger: Ledger) -> list[Totals]:
    with ledger.database.reading() as session:
        return [totals_of(session, epoch) for epoch in EPOCHS]


def payouts(ledger: Ledger) -> dict[bytes, int]:
    sums: dict[bytes, int] = {}
    with ledger.database.reading() as session:
        for epoch in EPOCHS:
            for total in operator_totals(statements_of(ledger.artefacts, session, epoch, 1)):
                sums[total.operator] = sums.get(total.operator, 0) + total.pay_wei
    return sums


def test_the_replay_is_what_a_network_governed_so_from_the_start_really_sealed(before: Ledger, after: Ledger) -> None:
    found = simulate(before, proposal(before, WANTED, is_whole=False), EPOCHS).comparison
    assert [each.sealed.totals for each in found.epochs] == sealed_totals(before)
    assert [each.proposed.totals for each in found.epochs] == sealed_totals(after)
    assert {change.key: change.before_wei for change in found.operators} == payouts(before)
    assert {change.key: change.after_wei for change in found.operators} == payouts(after)


def test_the_networks_differ_in_everything_that_is_carried(before: Ledger, after: Ledger) -> None:
    """Else the test above would show nothing."""
    one, other = sealed_totals(before), sealed_totals(after)
    assert 0 < other[0].carried_out_ug < one[0].carried_out_ug
    assert 0 < other[1].rollover_out_wei != one[1].rollover_out_wei > 0
    with before.database.reading() as session, after.database.reading() as session_after:
        matched = [
            statements_of(ledger.artefacts, reading, epoch, 1)["m2_wh"].sum()
            for ledger, reading in ((before, session), (after, session_after))
            for epoch in (EPOCHS[0], EPOCHS[2])
        ]
    assert matched[:2] == [0, 0]
    assert matched[2] > 0
    assert matched[3] == 0  # used up in epoch 0: a certificate is credited once, in a replay too


def test_a_later_first_epoch_starts_from_what_was_really_carried_into_it(before: Ledger) -> None:
    found = simulate(before, proposal(before, WANTED, is_whole=False), EPOCHS[2:]).comparison
    (only,) = found.epochs
    assert only.proposed.totals.rollover_in_wei == only.sealed.totals.rollover_in_wei > 0
    assert only.proposed.totals.carried_in_ug == only.sealed.totals.carried_in_ug > 0
    assert only.is_rejudged


def test_evidence_is_judged_again_only_where_acceptance_reads_the_change(before: Ledger) -> None:
    quick = simulate(before, proposal(before, {"gMatchBps": 2250, "quorumQ": 4}, is_whole=False), EPOCHS).comparison
    assert [each.is_rejudged for each in quick.epochs] == [False, False, False]
    slow = simulate(before, proposal(before, {"quorumK": 4}, is_whole=False), EPOCHS).comparison
    assert [each.is_rejudged for each in slow.epochs] == [True, True, True]


def test_acceptance_reads_nothing_of_a_policy_but_what_judges_alike_compares(before: Ledger) -> None:
    with before.database.reading() as session:
        frozen = load_frozen(before, session, EpochNumber(0))
    read: set[str] = set()

    class Watched:
        def __getattr__(self, name: str) -> Any:
            read.add(name)
            return getattr(frozen.policy, name)

    judge(replace(frozen, policy=Watched()))  # type: ignore[arg-type]
    different = {"count_nuclear": True, "quorum_k": 7, "tables_hash": bytes(32)}
    assert read == set(different)
    for name in POLICY_FIELDS:
        other = replace(frozen.policy, **{name: different.get(name, 1)})
        assert judges_alike(frozen.policy, other) is (name not in different)


def test_two_simulations_of_one_proposal_are_the_same_bytes(before: Ledger) -> None:
    subject = proposal(before, WANTED, is_whole=False)
    first, second = (simulate(before, subject, EPOCHS) for _ in range(2))
    assert first.file.content == second.file.content
    assert first.file.digest == second.file.digest
    assert read_simulation(first.file.content).document == json.loads(first.file.content)


def test_every_amount_in_the_file_is_the_text_of_an_integer(before: Ledger) -> None:
    document = json.loads(simulate(before, proposal(before, WANTED, is_whole=False), EPOCHS).file.content)
    amounts = [value for name, value in _members(document) if name.endswith(("_wei", "_ug", "_wh"))]
    assert len(amounts) > 50
    assert all(isinstance(value, str) and str(int(value)) == value for value in amounts)
    assert not any(isinstance(value, float) for _, value in _members(document))


def _members(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _members(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _members(inner, name)
    else:
        yield name, value


def test_a_replay_that_is_not_what_was_sealed_ends_with_exit_code_4(
    before: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_wei_more(session: Any, epoch: EpochNumber) -> Opening:
        found = opening_of(session, epoch)
        return replace(found, rollover_in_wei=Wei(found.rollover_in_wei + 1))

    monkeypatch.setattr(steps, "opening_of", one_wei_more)
    with pytest.raises(BaselineError, match=r"epoch 0 .* is not what was sealed: .*statementsHash.*payout") as caught:
        simulate(before, proposal(before, WANTED, is_whole=False), EPOCHS)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("wanted", "bound"),
    [
        ({"gMatchBps": 2300}, "g_match_bps moves by 300, at most 250 at once"),
        ({"gMatchBps": 6000}, "g_match_bps = 6000 is outside"),
        ({"epochBudgetWei": 1001 * 10**18}, "it only falls"),
        ({"carbonPriceWeiPerTonne": 961 * 10**18}, "more than 20 %"),
        ({"quorumK": 7}, "quorum 3 of 7 is no majority"),
    ],
)
def test_what_the_contract_would_refuse_is_refused_by_the_name_of_the_bound(
    before: Ledger, wanted: dict[str, int], bound: str
) -> None:
    with pytest.raises(PolicyBoundsError, match=bound) as caught:
        proposal(before, wanted, is_whole=False)
    assert caught.value.exit_code == 7


def test_a_proposal_that_changes_nothing_is_none(before: Ledger) -> None:
    with pytest.raises(UsageError):
        proposal(before, {"gMatchBps": 2000}, is_whole=False)


def test_the_policy_in_force_replayed_moves_nobody(before: Ledger) -> None:
    found = simulate(before, announced_proposal(before, 1), EPOCHS).comparison
    assert {change.delta_wei for change in found.operators} == {0}
    assert found.before == found.after


def test_as_many_epochs_as_there_are(before: Ledger) -> None:
    assert last_epochs(before, 10) == EPOCHS
    assert last_epochs(before, 2) == EPOCHS[1:]


def test_a_file_speaks_of_one_policy_and_one_ledger(before: Ledger) -> None:
    subject = proposal(before, WANTED, is_whole=False)
    file = simulate(before, subject, EPOCHS[2:]).file
    file.require_about(subject.policy_hash, before.domain)
    assert subject.policy_hash == policy_hash(subject.policy)
    assert file.document["proposal"]["policy"] == policy_document(subject.policy)
    with pytest.raises(OtherProposalError):
        file.require_about(Hash32(bytes(32)), before.domain)
    with pytest.raises(OtherProposalError):
        file.require_about(subject.policy_hash, replace(before.domain, chain_id=1))


def test_a_file_that_was_touched_is_no_simulation(before: Ledger) -> None:
    content = simulate(before, proposal(before, WANTED, is_whole=False), EPOCHS[2:]).file.content
    for changed in (content + b"\n", json.dumps(json.loads(content), indent=2).encode(), b"{}", b"\xff", b"[]"):
        with pytest.raises(UsageError):
            read_simulation(changed)


def test_the_result_says_what_it_cannot_know(before: Ledger) -> None:
    def said(wanted: dict[str, Any]) -> str:
        return " ".join(simulate(before, proposal(before, wanted, is_whole=False), EPOCHS).file.document["limits"])

    plain = said({"gMatchBps": 2250})
    assert "a simulation cannot know it" in plain
    assert "as if it had been in force from epoch 0 on" in plain
    assert "judged again" not in plain
    assert "judged again" in said({"countNuclear": True})
    assert "checkers a node is drawn differs (4 and 5)" in said({"quorumK": 4})
