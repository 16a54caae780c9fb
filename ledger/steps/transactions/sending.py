"""Sending one decided call from a person's account, exactly once: planned, signed and watched by the outbox.

The account's nonces belong to this ledger's outbox from its first call on, so that a command that is killed
and run again sends the same bytes and never a second transaction.
"""

from ledger.chain.contracts.contract import Call
from ledger.chain.errors import CallRevertedError, TransactionPendingError, TransactionRevertedError
from ledger.chain.sending.outbox import open_outbox, pump
from ledger.chain.sending.preflight import require_accepted
from ledger.chain.sending.signer import Signer
from ledger.db import outbox
from ledger.db.faultpoint import faultpoint
from ledger.db.outbox_entry import OutboxEntry, OutboxState
from ledger.model.units import to_hex
from ledger.steps.ledger import Ledger
from ledger.tree.keccak import keccak256

_ON_ITS_WAY = frozenset({OutboxState.PLANNED, OutboxState.SIGNED, OutboxState.BROADCAST})
"""Not on chain yet, and meant to get there."""
_ON_CHAIN = frozenset({OutboxState.MINED, OutboxState.FINAL, OutboxState.REVERTED})
"""In a block, as far as was seen."""


def send_once(ledger: Ledger, signer: Signer, call: Call, purpose: str) -> OutboxEntry:
    """Send a call and wait for its block; one that is on its way already is followed, not repeated.

    The caller has looked at the chain's state and knows that the effect is wanted and not there. Raises
    CallRevertedError (nothing was sent), TransactionRevertedError, TransactionPendingError (run it again),
    and what `pump` raises.
    """
    settlement = ledger.settlement()
    open_outbox(ledger.database, settlement.connection, signer.address)
    key, is_planned = _key(ledger, signer, call, purpose)
    if not is_planned:
        # asked before it is planned: a refused call must not hold the account's nonce
        require_accepted(settlement.connection, signer.address, call.to, call.calldata)
        now = ledger.clock.now()
        with ledger.database.transaction() as session:
            outbox.enqueue(
                session,
                key=key,
                chain_id=settlement.connection.chain_id,
                sender=signer.address,
                to=call.to,
                calldata=call.calldata,
                at=now,
            )
            faultpoint("send.before_commit")
        faultpoint("send.after_commit")
    _send_up_to(ledger, signer, key)
    faultpoint("send.after_effect")
    return _outcome(ledger, key)


def follow_sent(ledger: Ledger, signer: Signer) -> None:
    """See what became of calls that a killed command had sent; nothing to do for an account that never sent."""
    with ledger.database.reading() as session:
        entries = outbox.entries(session, ledger.domain.chain_id, signer.address)
    if any(entry.state in _ON_ITS_WAY for entry in entries):
        _send_up_to(ledger, signer, entries[-1].key)


def _key(ledger: Ledger, signer: Signer, call: Call, purpose: str) -> tuple[str, bool]:
    """The key of this effect's present occurrence, and whether it is planned already.

    The same call may be wanted again later (claims are paused twice in a ledger's life): each occurrence
    that reached the chain or was given up counts, and the next one has the next number.
    """
    body = keccak256(signer.address + call.to + call.calldata)
    prefix = f"call/{purpose}/{to_hex(body)}/"
    number, mined = 0, ledger.settlement().connection.nonce(signer.address)
    with ledger.database.reading() as session:
        while (found := outbox.find_entry(session, f"{prefix}{number}")) is not None:
            # one whose block was lost with the chain's last moments goes out again: it is the occurrence that is wanted
            if found.state in _ON_ITS_WAY or (found.state in _ON_CHAIN and found.nonce >= mined):
                return found.key, True
            number += 1
    return f"{prefix}{number}", False


def _send_up_to(ledger: Ledger, signer: Signer, key: str) -> None:
    """Send what is planned, the call of `key` last. CallRevertedError when that one is refused now.

    An earlier one that was planned, never sent because its command was killed, and is refused by now is
    withdrawn: it must not hold up the account for ever.
    """
    settlement = ledger.settlement()
    while True:
        try:
            pump(
                ledger.database,
                settlement.connection,
                signer,
                ledger.clock,
                settlement.finality,
                fees=settlement.fees,
                code_hashes=settlement.deployment.callable_code,
            )
        except CallRevertedError as refusal:
            if _give_up_first(ledger, signer, refusal) in {key, None}:
                raise
        else:
            return


def _give_up_first(ledger: Ledger, signer: Signer, refusal: CallRevertedError) -> str | None:
    """Withdraw the account's first unsigned call, which is the one that was refused; its key."""
    now = ledger.clock.now()
    with ledger.database.transaction() as session:
        for entry in outbox.entries(session, ledger.domain.chain_id, signer.address):
            if entry.state is OutboxState.PLANNED:
                return outbox.withdraw(session, entry.key, refusal.reason, now).key
    return None


def _outcome(ledger: Ledger, key: str) -> OutboxEntry:
    with ledger.database.reading() as session:
        entry = outbox.entry(session, key)
    transaction = to_hex(entry.tx_hash) if entry.tx_hash else key
    if entry.state is OutboxState.REVERTED or entry.detail == "reverted":
        raise TransactionRevertedError(f"{transaction} was mined and reverted")
    if entry.state in _ON_ITS_WAY:
        raise TransactionPendingError(f"{transaction} is sent and not mined yet")
    return entry
