"""Exactly once on chain: what is planned in the database is sent with one nonce for ever, and watched.

Signed bytes are on disk before they leave; an ambiguous answer repeats the same bytes; a taken nonce stops
everything until a person decides. Entries go out one after the other: the next is signed when the one
before is mined, so a refused call never leaves a gap of nonces behind it.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ledger.chain.errors import (
    AnswerError,
    ChainUnreachableError,
    FeeCapError,
    FundsMissingError,
    NonceTakenError,
    RpcError,
)
from ledger.chain.node.anchor import final_anchor
from ledger.chain.node.connection import Block, Connection, Finality, Receipt
from ledger.chain.sending.attempts import Attempts
from ledger.chain.sending.fees import FeePolicy
from ledger.chain.sending.signer import Signer
from ledger.db import outbox as rows
from ledger.db.engine import Database
from ledger.db.exclusion import exclusively
from ledger.db.faultpoint import faultpoint
from ledger.db.outbox_entry import OPEN_STATES, SETTLED_STATES, Attempt, OutboxEntry, OutboxState
from ledger.model.clock import Clock
from ledger.model.errors import InvariantError
from ledger.model.units import Address, Hash32, to_hex
from ledger.tree.keccak import checksum_address

_KNOWN: Final = ("already known", "already imported", "known transaction", "alreadyknown")
_KEPT: Final = ("replacement transaction underpriced", "replacement underpriced")
_FEE_TOO_LOW: Final = ("underpriced", "less than block base fee", "fee too low", "max fee per gas less")


@dataclass(frozen=True, slots=True, kw_only=True)
class PumpReport:
    """What one pump did."""

    entries: tuple[OutboxEntry, ...]
    """Every entry whose state changed, as it stands now, by nonce."""
    reopened: tuple[OutboxEntry, ...]
    """Entries that were settled and whose block has left the chain: the books may be affected."""

    @property
    def is_idle(self) -> bool:
        """Whether nothing changed."""
        return not self.entries


def open_outbox(database: Database, connection: Connection, sender: Address) -> int:
    """Give the account's nonces from now on to this database's outbox; the first nonce it owns.

    From then on nothing else may send from the account. A second call changes nothing.
    """
    with database.reading() as session:
        opened = rows.first_nonce(session, connection.chain_id, sender)
    if opened is not None:
        return opened
    first = connection.nonce(sender)
    with database.transaction() as session:
        return rows.open_sender(session, connection.chain_id, sender, first)


def pump(
    database: Database,
    connection: Connection,
    signer: Signer,
    clock: Clock,
    finality: Finality,
    *,
    fees: FeePolicy | None = None,
    code_hashes: Mapping[Address, Hash32] | None = None,
    patience_seconds: float = 2,
) -> PumpReport:
    """Advance every entry of the signer's account as far as it can go now. Calling it again is always safe.

    After a broadcast it waits up to `patience_seconds` for the receipt; what is not mined by then is
    found by the next pump. `code_hashes` are the contracts that may be called, by address.

    Raises HeldElsewhereError (another process sends), CallRevertedError (the contract refuses the next
    entry; nothing was sent), NonceTakenError, FeeCapError, FundsMissingError, ChainUnreachableError (sent or
    not: pump again), WrongChainError, OtherGenesisError, CodeMissingError. What was done before is kept.
    """
    worker = _Pump(
        database=database,
        connection=connection,
        clock=clock,
        finality=finality,
        attempts=Attempts(
            database=database,
            connection=connection,
            signer=signer,
            clock=clock,
            fees=fees or FeePolicy(),
            code_hashes=code_hashes,
        ),
        patience_seconds=patience_seconds,
    )
    with exclusively(database, f"outbox/{connection.chain_id}/{to_hex(signer.address)}"):
        # an endpoint that fails half-way costs nothing: what it left is taken up on the next one
        connection.in_one_look(worker.run, final_anchor(database, connection.chain_id))
    return PumpReport(
        entries=tuple(sorted(worker.changed.values(), key=lambda entry: entry.nonce)), reopened=tuple(worker.reopened)
    )


@dataclass(slots=True, kw_only=True)
class _Pump:
    database: Database
    connection: Connection
    clock: Clock
    finality: Finality
    attempts: Attempts
    patience_seconds: float
    changed: dict[str, OutboxEntry] = field(default_factory=dict)
    reopened: list[OutboxEntry] = field(default_factory=list)

    def run(self) -> None:
        """The whole of it; safe to begin anew anywhere."""
        self.connection.check_identity()
        self.audit_settled()
        self.look_again_at_conflicts()
        self.advance_open()

    def entries(self) -> list[OutboxEntry]:
        with self.database.reading() as session:
            return rows.entries(session, self.connection.chain_id, self.attempts.signer.address)

    def audit_settled(self) -> None:
        """Reopen settled entries whose block is gone, newest first.

        The first one that still stands vouches for all before it: its block has theirs as ancestors.
        """
        for entry in sorted(self.entries(), key=lambda each: each.nonce, reverse=True):
            if entry.state not in SETTLED_STATES:
                continue
            if self._still_stands(entry):
                return
            self.reopened.append(self._record(entry, OutboxState.BROADCAST, detail="its final block left the chain"))

    def look_again_at_conflicts(self) -> None:
        """A reorg, or a node that answers rightly today, may show that the nonce was ours after all."""
        for entry in self.entries():
            if entry.state in {OutboxState.CONFLICTED, OutboxState.ABANDONED}:
                seen = self._observe(entry)
                if seen.state is OutboxState.CONFLICTED and self._is_free_again(seen):
                    why = "the nonce is not used after all"
                    seen = self._record(
                        seen, OutboxState.BROADCAST, tx_hash=self.attempts.of(seen)[-1].tx_hash, detail=why
                    )
                    self.reopened.append(seen)
                if seen.state is OutboxState.CONFLICTED:
                    raise _nonce_taken(seen)
                if entry.state is OutboxState.ABANDONED and seen.state is not OutboxState.ABANDONED:
                    self.reopened.append(seen)

    def _is_free_again(self, entry: OutboxEntry) -> bool:
        """Whether what we signed may go out again: whoever had the nonce left the chain with its block, or was we
        ourselves, unseen. The same bytes can still be mined only once."""
        return bool(self.attempts.of(entry)) and self.connection.nonce(entry.sender) <= entry.nonce

    def advance_open(self) -> None:
        for entry in self.entries():
            if entry.state in OPEN_STATES and not self._advance(entry):
                return

    def _advance(self, entry: OutboxEntry) -> bool:
        """Whether the entry is mined at least, so that the next one may go out."""
        if entry.state in {OutboxState.PLANNED, OutboxState.VOIDING}:
            if entry.state is OutboxState.VOIDING and self._observe(entry).state is not OutboxState.VOIDING:
                return True  # the withdrawn transaction was faster
            entry = self._sign_first(entry)
        else:
            entry = self._observe(entry)
        if entry.state in {OutboxState.SIGNED, OutboxState.BROADCAST}:
            entry = self._send(entry)
        return entry.state is OutboxState.MINED or entry.state in SETTLED_STATES

    def _send(self, entry: OutboxEntry) -> OutboxEntry:
        """Broadcast the newest attempt, bumped when it is stuck, and wait a little."""
        if self.connection.nonce(entry.sender) > entry.nonce:
            return self._settle_taken_nonce(entry)
        newest = self.attempts.of(entry)[-1]
        waited = self.clock.now() - newest.signed_at
        # a stamp far ahead is of a clock that was put right since: it would say for years that nothing is due
        if entry.state is OutboxState.BROADCAST and abs(waited) >= self.attempts.fees.bump_after_seconds:
            entry, newest = self._bump(entry, newest) or (entry, newest)
        entry = self._broadcast(entry, newest)
        return self._await_receipt(entry)

    def _broadcast(self, entry: OutboxEntry, attempt: Attempt) -> OutboxEntry:
        faultpoint("outbox.broadcast.before_send")
        try:
            answer = self.connection.broadcast(attempt.raw)
        except ChainUnreachableError:
            # sent or not: the same bytes go out again at the next pump, and can only be mined once
            self._record(entry, OutboxState.BROADCAST, tx_hash=attempt.tx_hash, detail="no answer: maybe sent")
            raise
        except RpcError as error:
            return self._read_refusal(entry, attempt, error)
        faultpoint("outbox.broadcast.after_send")
        if answer != to_hex(attempt.tx_hash):
            raise InvariantError(f"outbox entry {entry.key}: the node answers {answer}, sent {to_hex(attempt.tx_hash)}")
        if entry.state is OutboxState.BROADCAST and entry.tx_hash == attempt.tx_hash:
            return entry
        return self._record(entry, OutboxState.BROADCAST, tx_hash=attempt.tx_hash)

    def _read_refusal(self, entry: OutboxEntry, attempt: Attempt, error: RpcError) -> OutboxEntry:
        text = error.message.lower()
        if any(words in text for words in (*_KNOWN, *_KEPT)):
            if entry.state is OutboxState.BROADCAST and entry.tx_hash == attempt.tx_hash:
                return entry
            return self._record(entry, OutboxState.BROADCAST, tx_hash=attempt.tx_hash, detail="the node had it already")
        if "nonce too low" in text:
            return self._settle_taken_nonce(entry)
        if "insufficient funds" in text:
            raise FundsMissingError(f"{checksum_address(entry.sender)} cannot pay for {entry.key}: {error.message}")
        if any(words in text for words in _FEE_TOO_LOW):
            bumped = self._bump(entry, attempt)
            if bumped is None:
                raise FeeCapError(f"outbox entry {entry.key}: the node wants higher fees than the cap: {error.message}")
            return self._broadcast(*bumped)
        raise error

    def _await_receipt(self, entry: OutboxEntry) -> OutboxEntry:
        deadline = time.monotonic() + self.patience_seconds
        pause = 0.005
        while entry.state is OutboxState.BROADCAST:
            entry = self._observe(entry)
            if entry.state is not OutboxState.BROADCAST or time.monotonic() > deadline:
                break
            time.sleep(pause)
            pause = min(0.25, 2 * pause)
        return entry

    def _observe(self, entry: OutboxEntry) -> OutboxEntry:
        """Bring the entry to what the chain shows: mined, final, or back when its block is gone."""
        found = self._find_mined(entry)
        if found is None:
            if entry.state is OutboxState.MINED:
                return self._record(
                    entry, OutboxState.BROADCAST, tx_hash=entry.tx_hash, detail="its block left the chain"
                )
            return entry
        attempt, receipt = found
        if entry.state is not OutboxState.MINED or entry.block_hash != receipt.block_hash:
            entry = self._record(entry, OutboxState.MINED, receipt=receipt, detail=_outcome(attempt, receipt))
        final = self.connection.final_block(self.finality)
        if final is None or receipt.block_number > final.number:
            return entry
        if attempt.voids:
            with self.database.reading() as session:
                reason = rows.why_withdrawn(session, entry)
            return self._record(entry, OutboxState.WITHDRAWN, receipt=receipt, detail=reason)
        state = OutboxState.FINAL if receipt.succeeded else OutboxState.REVERTED
        return self._record(entry, state, receipt=receipt)

    def _find_mined(self, entry: OutboxEntry) -> tuple[Attempt, Receipt] | None:
        """The attempt that is mined on the canonical chain, if one is: an earlier one may mine late."""
        sent = self.attempts.of(entry)
        for attempt, receipt in zip(sent, self.connection.receipts([each.tx_hash for each in sent]), strict=True):
            if receipt is not None:
                block = self.connection.find_block(receipt.block_number)
                if block is not None and block.hash == receipt.block_hash:  # else a stale answer
                    return attempt, receipt
        return None

    def _settle_taken_nonce(self, entry: OutboxEntry) -> OutboxEntry:
        """The nonce is used: by one of our attempts, or by somebody else, and then everything stops."""
        seen = self._observe(entry)
        if seen.state is OutboxState.MINED or seen.state in SETTLED_STATES:
            return seen
        if self.connection.is_mined_elsewhere([each.tx_hash for each in self.attempts.of(entry)]):
            raise AnswerError(f"outbox entry {entry.key}: another endpoint shows it as mined, this one does not")
        seen = self._record(
            seen, OutboxState.CONFLICTED, detail=f"nonce {entry.nonce} was used by a transaction that is not ours"
        )
        raise _nonce_taken(seen)

    def _sign_first(self, entry: OutboxEntry) -> OutboxEntry:
        """Sign the intent, or the empty transaction that takes its place."""
        if self.connection.nonce(entry.sender) > entry.nonce:
            return self._settle_taken_nonce(entry)
        is_void = entry.state is OutboxState.VOIDING
        return self._noted(self.attempts.voiding(entry) if is_void else self.attempts.first(entry))

    def _bump(self, entry: OutboxEntry, before: Attempt) -> tuple[OutboxEntry, Attempt] | None:
        bumped = self.attempts.bumped(entry, before)
        return bumped and (self._noted(bumped[0]), bumped[1])

    def _still_stands(self, entry: OutboxEntry) -> bool:
        block: Block | None = self.connection.find_block(entry.block_number or 0)
        return block is not None and block.hash == entry.block_hash

    def _noted(self, after: OutboxEntry) -> OutboxEntry:
        self.changed[after.key] = after
        return after

    def _record(
        self,
        entry: OutboxEntry,
        state: OutboxState,
        *,
        tx_hash: Hash32 | None = None,
        receipt: Receipt | None = None,
        detail: str = "",
    ) -> OutboxEntry:
        now = self.clock.now()  # a chain's clock asks the node: not while the database is locked
        with self.database.transaction() as session:
            after = rows.record(
                session,
                entry,
                state,
                now,
                tx_hash=receipt.tx_hash if receipt else tx_hash,
                block_number=receipt.block_number if receipt else None,
                block_hash=receipt.block_hash if receipt else None,
                detail=detail,
            )
            faultpoint(f"outbox.{state.value}.before_commit")
        faultpoint(f"outbox.{state.value}.after_commit")
        return self._noted(after)


def _outcome(attempt: Attempt, receipt: Receipt) -> str:
    if attempt.voids:
        return "the nonce was used up by an empty transaction"
    return "" if receipt.succeeded else "reverted"


def _nonce_taken(entry: OutboxEntry) -> NonceTakenError:
    return NonceTakenError(
        f"nonce {entry.nonce} of {checksum_address(entry.sender)}, planned for {entry.key}, "
        "was used by another transaction",
        hint="ath-ledger doctor: find that transaction, then abandon the entry and plan the effect under a new key",
    )
