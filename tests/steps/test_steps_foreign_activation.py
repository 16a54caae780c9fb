"""Anybody may activate a proposed epoch: when a stranger is faster, nothing is lost and nothing is blocked."""

from collections.abc import Iterator

import pytest

from ledger.chain.sending.signer import KeySigner
from ledger.chain.sending.transact import plan_transaction, send
from ledger.db import epochs, journal, outbox
from ledger.db.outbox_entry import OutboxState
from ledger.demo.worked_example import WorkedExample
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber, to_hex
from ledger.rehearsal import Rehearsal
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.sealed import header_of
from ledger.steps.transactions.publisher import send_planned
from ledger.steps.transitions.activate import activation_key

EPOCH = EpochNumber(0)
STRANGER = KeySigner(b"\xab" * 32)


@pytest.fixture
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    rehearsal = Rehearsal.create(tmp_path_factory.mktemp("foreign") / "ledger", WorkedExample())
    yield rehearsal
    rehearsal.stop()


def activate_as_a_stranger(ledger: Ledger) -> None:
    settlement = ledger.settlement()
    settlement.connection.rpc("anvil_setBalance", to_hex(STRANGER.address), hex(10**20))
    with ledger.database.reading() as session:
        call = settlement.rewards_ledger.activate_epoch(header_of(session, EPOCH))
    assert settlement.fees is not None
    plan = plan_transaction(settlement.connection, STRANGER.address, call, settlement.fees)
    send(settlement.connection, STRANGER, plan)


def test_an_activation_by_a_stranger_is_booked_and_frees_our_nonce(rehearsal: Rehearsal) -> None:
    ledger = rehearsal.deploy(lambda _: None)
    rehearsal.register(ledger)
    rehearsal.attest(ledger, EPOCH)
    for result in rehearsal.settle(ledger, EPOCH):
        if result.state is EpochState.ACTIVE:
            break  # planned with its nonce, not sent
    activate_as_a_stranger(ledger)

    assert [result.state for result in rehearsal.settle(ledger, EPOCH)] == [EpochState.FINAL]
    send_planned(ledger)
    rehearsal.finish(ledger)
    send_planned(ledger)
    with ledger.database.reading() as session:
        ours = outbox.entry(session, activation_key(EPOCH, 1))
        assert epochs.current(session, EPOCH).state is EpochState.FINAL
        assert journal.trial_balance(session).is_balanced
    assert ours.state in {OutboxState.VOIDING, OutboxState.MINED, OutboxState.WITHDRAWN}
    publisher = ledger.settlement().publisher
    assert publisher is not None
    assert ledger.settlement().connection.nonce(publisher.address) == ours.nonce + 1
    ledger.close()
