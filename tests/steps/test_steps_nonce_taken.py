"""A foreign transaction takes the publisher's nonce: everything stops, a person decides, and the epoch is paid once."""

from collections.abc import Iterator

import pytest

from ledger.chain.errors import NonceTakenError
from ledger.chain.sending.signer import Signer, Transaction
from ledger.db import epochs, journal, outbox
from ledger.db.outbox_entry import OutboxState
from ledger.demo.worked_example import WorkedExample
from ledger.model.epoch import EpochState
from ledger.model.errors import RefusedError, UsageError
from ledger.model.units import EpochNumber, to_hex
from ledger.rehearsal import Rehearsal
from ledger.steps.drive import step
from ledger.steps.ledger import Ledger
from ledger.steps.transactions.deciding import abandon, transactions, withdraw
from ledger.steps.transitions.activate import activation_key
from ledger.steps.transitions.halt import resume
from ledger.steps.transitions.propose import proposal_key

EPOCH = EpochNumber(0)


@pytest.fixture
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    rehearsal = Rehearsal.create(tmp_path_factory.mktemp("taken") / "ledger", WorkedExample())
    yield rehearsal
    rehearsal.stop()


def planned(rehearsal: Rehearsal, state: EpochState) -> Ledger:
    """A ledger whose epoch has just entered a state that plans a transaction, before it is sent."""
    ledger = rehearsal.deploy(lambda _: None)
    rehearsal.register(ledger)
    rehearsal.attest(ledger, EPOCH)
    for result in rehearsal.settle(ledger, EPOCH):
        if result.state is state:
            break
    return ledger


def send_from_the_publishers_account(ledger: Ledger) -> None:
    """What must never happen: somebody uses the publisher's key elsewhere."""
    settlement = ledger.settlement()
    publisher: Signer | None = settlement.publisher
    assert publisher is not None
    connection = settlement.connection
    signed = publisher.sign(
        Transaction(
            chain_id=connection.chain_id,
            nonce=connection.nonce(publisher.address),
            to=publisher.address,
            value_wei=0,
            calldata=b"",
            gas=21_000,
            max_fee_per_gas_wei=10**11,
            max_priority_fee_per_gas_wei=10**9,
        )
    )
    connection.rpc("eth_sendRawTransaction", to_hex(signed.raw))
    connection.rpc("evm_mine")
    assert connection.receipts([signed.tx_hash])[0] is not None


def finish(rehearsal: Rehearsal, ledger: Ledger) -> None:
    for _ in rehearsal.settle(ledger, EPOCH):
        pass
    rehearsal.finish(ledger)
    with ledger.database.reading() as session:
        assert epochs.current(session, EPOCH).state is EpochState.FINAL
        assert journal.trial_balance(session).is_balanced
    assert ledger.settlement().rewards_ledger.next_epoch("latest") == 1


def test_a_proposal_whose_nonce_was_taken_is_proposed_anew_after_a_persons_word(rehearsal: Rehearsal) -> None:
    ledger = planned(rehearsal, EpochState.PROPOSED)
    send_from_the_publishers_account(ledger)
    for _ in range(2):
        with pytest.raises(NonceTakenError):
            step(ledger, EPOCH)
    key = proposal_key(EPOCH, 1)
    assert [(each.key, each.state) for each in transactions(ledger)] == [(key, OutboxState.CONFLICTED)]
    with pytest.raises(UsageError, match="reason"):
        abandon(ledger, key, " ")

    assert abandon(ledger, key, "a test sent from the wrong wallet").state is OutboxState.ABANDONED
    assert abandon(ledger, key, "again").detail == "a test sent from the wrong wallet"
    halted = step(ledger, EPOCH)
    assert halted.state is EpochState.HALTED
    assert resume(ledger, EPOCH, "the wallet is gone").state is EpochState.SEALED
    finish(rehearsal, ledger)
    with ledger.database.reading() as session:
        assert outbox.entry(session, proposal_key(EPOCH, 1, 1)).state is OutboxState.FINAL
        assert outbox.entry(session, key).state is OutboxState.ABANDONED


def test_an_activation_whose_nonce_was_taken_is_planned_anew_after_a_persons_word(rehearsal: Rehearsal) -> None:
    ledger = planned(rehearsal, EpochState.ACTIVE)
    send_from_the_publishers_account(ledger)
    with pytest.raises(NonceTakenError):
        step(ledger, EPOCH)
    abandon(ledger, activation_key(EPOCH, 1), "a test sent from the wrong wallet")
    finish(rehearsal, ledger)


def test_a_proposal_that_is_withdrawn_uses_its_nonce_up_and_is_proposed_anew(rehearsal: Rehearsal) -> None:
    ledger = planned(rehearsal, EpochState.PROPOSED)
    key = proposal_key(EPOCH, 1)
    with pytest.raises(RefusedError, match="not conflicted"):
        abandon(ledger, key, "no conflict")
    assert withdraw(ledger, key, "to be looked at first").state is OutboxState.VOIDING
    states = [result.state for result in rehearsal.settle(ledger, EPOCH)]
    assert states[-1] is EpochState.HALTED
    resume(ledger, EPOCH, "looked at")
    finish(rehearsal, ledger)
    with ledger.database.reading() as session:
        assert outbox.entry(session, key).state is OutboxState.WITHDRAWN
