"""What a person sends happens once, also when the chain loses its last blocks or a command dies half-way."""

from collections.abc import Iterator

import pytest

from ledger.chain.contracts.contract import Call
from ledger.chain.errors import CallRevertedError
from ledger.chain.sending.outbox import open_outbox
from ledger.chain.sending.signer import KeySigner
from ledger.db import epochs, outbox
from ledger.db.outbox_entry import OutboxEntry, OutboxState
from ledger.demo.worked_example import WorkedExample
from ledger.model.units import Address, EpochNumber, to_hex
from ledger.rehearsal import Rehearsal
from ledger.steps.claim import claim_of
from ledger.steps.ledger import Ledger
from ledger.steps.transactions.sending import send_once
from ledger.tree.keccak import keccak256

EPOCH = EpochNumber(0)


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    rehearsal = Rehearsal.create(tmp_path_factory.mktemp("sends") / "ledger", WorkedExample())
    yield rehearsal
    rehearsal.stop()


@pytest.fixture(scope="module")
def settled(rehearsal: Rehearsal) -> Iterator[Ledger]:
    ledger = rehearsal.deploy(lambda _: None)
    rehearsal.register(ledger)
    rehearsal.attest(ledger, EPOCH)
    for _ in rehearsal.settle(ledger, EPOCH):
        pass
    yield ledger
    ledger.close()


def signer_of(rehearsal: Rehearsal, rank: int) -> KeySigner:
    return KeySigner(rehearsal.network.operator_key(rank))


def sent_by(ledger: Ledger, signer: KeySigner) -> list[OutboxEntry]:
    with ledger.database.reading() as session:
        return outbox.entries(session, ledger.domain.chain_id, signer.address)


def test_a_claim_whose_block_is_lost_is_sent_again_and_not_planned_again(rehearsal: Rehearsal, settled: Ledger) -> None:
    connection, signer = settled.settlement().connection, signer_of(rehearsal, 0)
    before = connection.rpc("evm_snapshot")
    amount = rehearsal.claim(settled, 0).cumulative_wei
    (first,) = sent_by(settled, signer)
    assert connection.rpc("evm_revert", before) is True
    assert claim_of(settled, signer.address).quote.claimable_wei == amount, "the chain has forgotten the claim"

    rehearsal.claim(settled, 0)

    (again,) = sent_by(settled, signer)
    assert (again.key, again.nonce, again.tx_hash) == (first.key, first.nonce, first.tx_hash)
    assert again.state is OutboxState.MINED
    assert settled.settlement().rewards_ledger.claimed_wei(signer.address, "latest") == amount


def test_a_planned_call_that_nobody_needs_any_more_does_not_hold_up_the_account(
    rehearsal: Rehearsal, settled: Ledger
) -> None:
    """A command died after planning a claim; meanwhile somebody else has claimed for the operator."""
    signer, friend = signer_of(rehearsal, 1), signer_of(rehearsal, 2)
    call = claim_of(settled, signer.address).quote.call
    rehearsal.claim(settled, 2)  # gives the friend gas money too
    _give_gas_money(settled, signer.address)
    _plan_only(settled, signer, call)
    send_once(settled, friend, call, "claim for a friend")

    payee = settled.settlement().rewards_ledger.set_payee(friend.address)
    entry = send_once(settled, signer, payee, "set payee")

    assert entry.state is OutboxState.MINED
    assert settled.settlement().rewards_ledger.payee_of(signer.address, "latest") == friend.address
    stale, chosen = sent_by(settled, signer)
    assert "empty transaction" in stale.detail
    assert settled.settlement().connection.nonce(signer.address) == chosen.nonce + 1


def test_a_call_that_is_refused_is_withdrawn_and_the_person_is_told(rehearsal: Rehearsal, settled: Ledger) -> None:
    signer = signer_of(rehearsal, 0)
    nobody = settled.settlement().rewards_ledger.pause_claims()
    _plan_only(settled, signer, nobody, purpose="pause")
    with pytest.raises(CallRevertedError):
        send_once(settled, signer, nobody, "pause")
    assert sent_by(settled, signer)[-1].state is OutboxState.VOIDING


def test_nothing_of_this_has_halted_an_epoch(settled: Ledger) -> None:
    with settled.database.reading() as session:
        assert [standing.state.value for standing in epochs.all_standings(session)] == ["final"]


def _give_gas_money(ledger: Ledger, account: Address) -> None:
    ledger.settlement().connection.rpc("anvil_setBalance", to_hex(account), hex(10**20))


def _plan_only(ledger: Ledger, signer: KeySigner, call: Call, purpose: str = "claim") -> None:
    """What a command leaves that dies between planning and sending."""
    connection = ledger.settlement().connection
    open_outbox(ledger.database, connection, signer.address)
    body = keccak256(signer.address + call.to + call.calldata)
    with ledger.database.transaction() as session:
        outbox.enqueue(
            session,
            key=f"call/{purpose}/{to_hex(body)}/0",
            chain_id=connection.chain_id,
            sender=signer.address,
            to=call.to,
            calldata=call.calldata,
            at=ledger.clock.now(),
        )
