"""A header that the guardian revokes in its window is sealed again, and pays under attempt 2."""

from collections.abc import Iterator

import pytest

from ledger.books.posting import EntryKind
from ledger.chain.local.demo_time import DemoTime
from ledger.chain.sending.signer import KeySigner
from ledger.db import epochs, journal
from ledger.demo.worked_example import WorkedExample
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber, Timestamp
from ledger.rehearsal import GOVERNANCE_DELAY_SECONDS, Rehearsal, role_key
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.sealed import header_of
from ledger.steps.transactions.sending import send_once
from ledger.tree.commitments import header_hash

EPOCH = EpochNumber(0)


@pytest.fixture
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    rehearsal = Rehearsal.create(tmp_path_factory.mktemp("revoked") / "ledger", WorkedExample())
    yield rehearsal
    rehearsal.stop()


def test_a_revoked_epoch_is_reversed_sealed_again_and_paid_once(rehearsal: Rehearsal) -> None:
    ledger = rehearsal.deploy(lambda _: None)
    rehearsal.register(ledger)
    rehearsal.attest(ledger, EPOCH)
    for result in rehearsal.settle(ledger, EPOCH):
        if result.state is EpochState.PROPOSED:
            break
    _send_the_proposal(ledger)
    with ledger.database.reading() as session:
        first = header_of(session, EPOCH)
    _revoke_and_reopen(ledger)

    states = [result.state for result in rehearsal.settle(ledger, EPOCH)]
    assert states[0] is EpochState.FROZEN
    assert states[-1] is EpochState.FINAL
    rehearsal.claim(ledger, 0)
    rehearsal.finish(ledger)

    with ledger.database.reading() as session:
        second = header_of(session, EPOCH)
        standing = epochs.current(session, EPOCH)
        kinds = [entry.kind for entry in journal.entries(session)]
        balance = journal.trial_balance(session)
        journal.verify_journal(session)
    assert standing.attempt == 2
    assert kinds.count(EntryKind.SEAL) == 2
    assert kinds.count(EntryKind.REVERSAL) == 1
    assert balance.is_balanced
    assert (second.payout, second.claim_root, second.manifest_hash) == (
        first.payout,
        first.claim_root,
        first.manifest_hash,
    )
    assert second.ledger_head != first.ledger_head
    assert ledger.settlement().rewards_ledger.last_header_hash("latest") == header_hash(second)
    ledger.close()


def _send_the_proposal(ledger: Ledger) -> None:
    from ledger.steps.drive import step

    step(ledger, EPOCH)


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
