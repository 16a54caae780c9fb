"""The auditor at a ledger's own doors: epochs sealed twice, chains that say otherwise, records held back."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ledger.audit.bundle.reading import read_bundle
from ledger.audit.bundle.verification import verify_bundle
from ledger.audit.report import Report
from ledger.chain.local.demo_time import DemoTime
from ledger.chain.sending.signer import KeySigner
from ledger.demo.worked_example import WorkedExample
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber, Hash32, Timestamp
from ledger.rehearsal import GOVERNANCE_DELAY_SECONDS, Rehearsal, role_key
from ledger.steps.auditing.chain import ChainWitness, chain_witness
from ledger.steps.auditing.epochs import (
    NotSealedError,
    entries_of,
    epoch_record,
    last_sealed,
    require_sealed,
    verified_epochs,
)
from ledger.steps.auditing.export import export_bundle
from ledger.steps.drive import step
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.sealed import header_of
from ledger.steps.transactions.sending import send_once

EPOCH = EpochNumber(0)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audited") / "ledger"


@pytest.fixture(scope="module")
def revoked(root: Path) -> Iterator[Ledger]:
    """The worked example whose first header the guardian threw away: sealed, reversed, sealed again, final."""
    rehearsal = Rehearsal.create(root, WorkedExample())
    ledger = rehearsal.deploy(lambda _: None)
    with pytest.raises(NotSealedError):
        last_sealed(ledger)
    rehearsal.register(ledger)
    rehearsal.attest(ledger, EPOCH)
    next(result for result in rehearsal.settle(ledger, EPOCH) if result.state is EpochState.PROPOSED)
    step(ledger, EPOCH)
    _revoke_and_reopen(ledger)
    states = [result.state for result in rehearsal.settle(ledger, EPOCH)]
    assert (states[0], states[-1]) == (EpochState.FROZEN, EpochState.FINAL)
    yield ledger
    ledger.close()
    rehearsal.stop()


@pytest.fixture
def witness(revoked: Ledger) -> ChainWitness:
    settlement = revoked.settlement()
    return chain_witness(settlement.connection, settlement.deployment)


def failures(reports: list[Report]) -> list[str]:
    return [check.name for report in reports for check in report.failed]


def test_an_epoch_sealed_again_verifies_with_the_whole_stretch_of_the_chain(
    revoked: Ledger, witness: ChainWitness
) -> None:
    with revoked.database.reading() as session:
        entries, head = entries_of(session, EPOCH)
    assert (len(entries), head.number) == (4, 0)  # policy, seal, reversal, seal
    (report,) = verified_epochs(revoked, EPOCH, witness=witness)
    assert report.passed, report.failed
    assert report.is_anchored
    assert witness.held().passed


def test_the_header_that_counts_on_chain_is_the_second(revoked: Ledger, witness: ChainWitness) -> None:
    with revoked.database.reading() as session:
        record = epoch_record(revoked, session, EPOCH)
    assert record.seal.attempt == 2
    assert witness.headers[EPOCH] == witness.last_held


def test_a_chain_with_another_header_is_a_difference(revoked: Ledger, witness: ChainWitness) -> None:
    other = Hash32(bytes([7] * 32))
    lying = replace(witness, headers={EPOCH: other})
    reports = list(verified_epochs(revoked, EPOCH, witness=lying))
    assert {"header.on-chain", "header.hash"} <= set(failures(reports))
    assert not replace(witness, last_emitted=other).held().passed


def test_a_final_epoch_the_chain_does_not_know_is_a_difference(revoked: Ledger, witness: ChainWitness) -> None:
    (report,) = verified_epochs(revoked, EPOCH, witness=replace(witness, headers={}))
    assert [check.name for check in report.failed] == ["header.on-chain"]


def test_the_bundle_of_an_epoch_sealed_again_holds_both_attempts(revoked: Ledger, root: Path, tmp_path: Path) -> None:
    out = tmp_path / "again.zip"
    deployment = json.loads((root / "deployment.json").read_text(encoding="utf-8"))
    assert export_bundle(revoked, EPOCH, deployment, out).is_new
    assert not export_bundle(revoked, EPOCH, deployment, out).is_new
    bundle = read_bundle(memoryview(out.read_bytes()))
    assert len(bundle.entries) == 4
    report = verify_bundle(bundle)
    assert report.passed, report.failed


def test_an_epoch_nobody_named_is_not_sealed(revoked: Ledger) -> None:
    with pytest.raises(NotSealedError):
        require_sealed(revoked, EpochNumber(5))
    assert last_sealed(revoked) == EPOCH


def _revoke_and_reopen(ledger: Ledger) -> None:
    settlement = ledger.settlement()
    time = DemoTime(settlement.connection)
    with ledger.database.reading() as session:
        header = header_of(session, EPOCH)
    send_once(ledger, KeySigner(role_key("guardian")), settlement.rewards_ledger.revoke_epoch(header), "revoke")
    time.mine()
    governor = KeySigner(role_key("governor"))
    manager = settlement.deployment.access_manager(settlement.connection)
    reopen = settlement.rewards_ledger.reopen_proposals()
    send_once(ledger, governor, manager.schedule(reopen), "announce")
    time.jump_to(Timestamp(ledger.clock.now() + GOVERNANCE_DELAY_SECONDS))
    send_once(ledger, governor, manager.execute(reopen), "execute")
    time.mine()
