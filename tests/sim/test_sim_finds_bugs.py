"""The simulator finds what it is there to find: each known-wrong variant of the product is caught within some seeds.

The variants are those that lost or doubled payments in the simulation of the design (`docs/reliability.md`).
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest

from ledger.chain.errors import ChainUnreachableError, RpcError
from ledger.chain.following import follower
from ledger.chain.sending.attempts import Attempts
from ledger.chain.sending.outbox import _Pump
from ledger.chain.sending.signer import Transaction
from ledger.db import chain_log, epochs
from ledger.db import outbox as rows
from ledger.db.outbox_entry import Attempt, OutboxEntry, OutboxState
from ledger.model.units import to_hex
from ledger.steps import drive
from ledger.steps.transitions import follow
from ledger.tasks import bell
from sim.oracles import ViolationError, undisturbed
from sim.scenario import Scenario
from sim.world import World

Patch = pytest.MonkeyPatch
ENOUGH = 60
"""Seeds that are tried; each variant here is caught far earlier."""


def resend_at(pump: _Pump, entry: OutboxEntry, nonce: int) -> OutboxEntry:
    """The wrong answer to doubt: the same call signed anew at another nonce, and sent."""
    last = pump.attempts.of(entry)[-1]
    signed = pump.attempts.signer.sign(
        Transaction(
            chain_id=entry.chain_id, nonce=nonce, to=entry.recipient, value_wei=0, calldata=entry.calldata,
            gas=last.gas, max_fee_per_gas_wei=last.max_fee_per_gas_wei,
            max_priority_fee_per_gas_wei=last.max_priority_fee_per_gas_wei,
        )
    )  # fmt: skip
    attempt = Attempt(
        number=last.number + 1, voids=False, tx_hash=signed.tx_hash, raw=signed.raw, gas=last.gas,
        max_fee_per_gas_wei=last.max_fee_per_gas_wei, max_priority_fee_per_gas_wei=last.max_priority_fee_per_gas_wei,
        signed_at=pump.clock.now(),
    )  # fmt: skip
    with pump.database.transaction() as session:
        if signed.tx_hash not in {each.tx_hash for each in rows.attempts(session, entry)}:
            rows.add_attempt(session, entry, attempt)
        entry = rows.record(session, entry, OutboxState.BROADCAST, pump.clock.now(), tx_hash=signed.tx_hash)
    pump.connection.rpc("eth_sendRawTransaction", to_hex(signed.raw))
    return entry


def a_fresh_nonce_on_retry(patch: Patch) -> None:
    """What was sent and is not mined yet is sent again at the account's next free nonce."""
    send = _Pump._send

    def retry(pump: _Pump, entry: OutboxEntry) -> OutboxEntry:
        if entry.state is not OutboxState.BROADCAST:
            return send(pump, entry)
        return resend_at(pump, entry, pump.connection.nonce(entry.sender, "pending"))

    patch.setattr(_Pump, "_send", retry)


def the_next_nonce_when_underpriced(patch: Patch) -> None:
    """A node that refuses a replacement is offered the next nonce, as some wallets do."""
    read = _Pump._read_refusal

    def add_one(pump: _Pump, entry: OutboxEntry, attempt: Attempt, error: RpcError) -> OutboxEntry:
        if "underpriced" in error.message or "base fee" in error.message or "already known" in error.message:
            return resend_at(pump, entry, entry.nonce + 1)
        return read(pump, entry, attempt, error)

    patch.setattr(_Pump, "_read_refusal", add_one)


def booking_at_observation(patch: Patch) -> None:
    """What is mined is booked at once, final or not."""

    def observed(database: Any, chain_id: int, followed: Any, *, above: int) -> Sequence[Any]:
        with database.reading() as session:
            tip = chain_log.canonical_blocks(session, chain_id, limit=1)
            logs = chain_log.canonical_logs(session, chain_id, above, tip[0].number) if tip else []
        return list(follower.decode_events(chain_id, followed.contracts, logs))

    patch.setattr(follow, "final_events", observed)


def no_second_look_at_what_is_final(patch: Patch) -> None:
    """Final is final: settled entries are never audited again."""
    patch.setattr(_Pump, "audit_settled", lambda pump: None)


def belief_in_an_empty_answer(patch: Patch) -> None:
    """A range without logs has none, whatever the blocks' blooms say."""
    patch.setattr(follower, "_with_hidden_logs", lambda connection, followed, tail, start, found: found)


def a_state_that_the_message_carries(patch: Patch) -> None:
    """A worker does what its message says, not what the database says: no version, no state, no lock's word."""
    lock, state_of, rung = epochs.lock_epoch, drive.state_of, {}
    ring = bell.ring

    def remember(app: Any, ledger: Any) -> None:
        epoch = bell.next_epoch(ledger)
        state = state_of(ledger, epoch)
        rung[epoch, bell._version(ledger, epoch)] = state
        ring(app, ledger)

    def advance(ledger: Any, epoch: Any, version: int) -> Any:
        patch.setattr(drive, "state_of", lambda *_: rung.get((epoch, version), state_of(ledger, epoch)))
        try:
            return drive.step(ledger, epoch)
        finally:
            patch.setattr(drive, "state_of", state_of)

    patch.setattr(epochs, "lock_epoch", lambda session, epoch, expected=None: lock(session, epoch))
    patch.setattr(bell, "ring", remember)
    patch.setattr(bell, "advance_once", advance)


def sending_before_it_is_stored(patch: Patch) -> None:
    """Signed, sent, and only then written down: a worker that dies in between knows nothing of it."""
    sign = Attempts._sign

    def hasty(attempts: Attempts, entry: OutboxEntry, **how: Any) -> Any:
        transaction = Transaction(
            chain_id=entry.chain_id, nonce=attempts.connection.nonce(entry.sender), to=entry.recipient, value_wei=0,
            calldata=entry.calldata, gas=how["gas"], max_priority_fee_per_gas_wei=how["fee"].priority_fee_wei,
            max_fee_per_gas_wei=how["fee"].max_fee_wei + attempts.clock.now() % 7,
        )  # fmt: skip
        with suppress(ChainUnreachableError, RpcError):
            attempts.connection.rpc("eth_sendRawTransaction", to_hex(attempts.signer.sign(transaction).raw))
        return sign(attempts, entry, **how)

    patch.setattr(Attempts, "_sign", hasty)


VARIANTS: list[tuple[Callable[[Patch], None], set[str]]] = [
    (a_fresh_nonce_on_retry, {"doubled", "stuck", "lost"}),
    (the_next_nonce_when_underpriced, {"doubled", "stuck"}),
    (booking_at_observation, {"doubled", "stuck", "books", "lost"}),
    (no_second_look_at_what_is_final, {"lost", "stuck"}),
    (belief_in_an_empty_answer, {"lost", "stuck", "books"}),
    (a_state_that_the_message_carries, {"stuck", "doubled", "divergent", "surprise"}),
    (sending_before_it_is_stored, {"stuck", "doubled", "lost"}),
]
FOREVER = {no_second_look_at_what_is_final}
"""Only a reorganisation below finality shows these."""


def first_violation(is_deep: bool) -> str | None:
    """The oracle that breaks first, over the first seeds of a scene with much to lose."""
    for seed in range(ENOUGH):
        scenario = Scenario(epochs=1, depth=1 + seed % 3, claimants=2, actions=100, is_deep=is_deep)
        try:
            World(seed, scenario=scenario).run()
        except ViolationError as broken:
            return broken.oracle
    return None


@pytest.mark.parametrize(("variant", "oracles"), VARIANTS, ids=[variant.__name__ for variant, _ in VARIANTS])
def test_a_wrong_variant_is_caught(monkeypatch: Patch, variant: Callable[[Patch], None], oracles: set[str]) -> None:
    undisturbed(1, None, 2)  # made before anything is wrong
    variant(monkeypatch)
    assert first_violation(is_deep=variant in FOREVER) in oracles
