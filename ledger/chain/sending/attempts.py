"""Signed attempts of an outbox entry: one nonce for all of them, on disk before any of them leaves.

Each attempt does the same for a higher fee, or, for a withdrawn entry, nothing at all with the same nonce.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ledger.chain.errors import CodeMissingError, FeeCapError
from ledger.chain.node.connection import Connection
from ledger.chain.sending.fees import Fee, FeePolicy
from ledger.chain.sending.preflight import gas_limit, require_accepted
from ledger.chain.sending.signer import Signer, Transaction
from ledger.db import outbox as rows
from ledger.db.engine import Database
from ledger.db.faultpoint import faultpoint
from ledger.db.outbox_entry import Attempt, OutboxEntry, OutboxState
from ledger.model.clock import Clock
from ledger.model.errors import UsageError
from ledger.model.units import Address, Hash32
from ledger.tree.keccak import checksum_address

VOID_GAS: Final = 21_000
"""Gas of an empty transfer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """The attempts of one account's entries: those there are, and new ones."""

    database: Database
    connection: Connection
    signer: Signer
    clock: Clock
    fees: FeePolicy
    code_hashes: Mapping[Address, Hash32] | None
    """The contracts that may be called, by address; None for any."""

    def of(self, entry: OutboxEntry) -> list[Attempt]:
        """All of an entry, oldest first; each of them may still be mined."""
        with self.database.reading() as session:
            return rows.attempts(session, entry)

    def first(self, entry: OutboxEntry) -> OutboxEntry:
        """The entry with its call signed, after asking the contract. Raises CallRevertedError, CodeMissingError."""
        self._require_code(entry)
        require_accepted(self.connection, entry.sender, entry.recipient, entry.calldata, entry.value_wei)
        gas = gas_limit(self.connection, entry.sender, entry.recipient, entry.calldata, entry.value_wei)
        fee = self.fees.first(self.connection.head().base_fee_wei)
        return self._sign(entry, number=len(self.of(entry)), voids=False, gas=gas, fee=fee)[0]

    def voiding(self, entry: OutboxEntry) -> OutboxEntry:
        """The entry with an empty transaction in its call's place, dearer than what was sent. Raises FeeCapError."""
        before, base_fee_wei = self.of(entry), self.connection.head().base_fee_wei
        fee = self.fees.bumped(_fee_of(before[-1]), base_fee_wei) if before else self.fees.first(base_fee_wei)
        if fee is None:
            raise FeeCapError(f"outbox entry {entry.key}: the cap leaves no room to replace its transaction")
        return self._sign(entry, number=len(before), voids=True, gas=VOID_GAS, fee=fee)[0]

    def bumped(self, entry: OutboxEntry, before: Attempt) -> tuple[OutboxEntry, Attempt] | None:
        """The same effect at the same nonce for a higher fee; None when attempts or cap are used up."""
        if before.number + 1 >= self.fees.max_attempts:
            return None
        fee = self.fees.bumped(_fee_of(before), self.connection.head().base_fee_wei)
        if fee is None:
            return None
        return self._sign(entry, number=before.number + 1, voids=before.voids, gas=before.gas, fee=fee)

    def _sign(self, entry: OutboxEntry, *, number: int, voids: bool, gas: int, fee: Fee) -> tuple[OutboxEntry, Attempt]:
        if self.signer.address != entry.sender:
            raise UsageError(f"{checksum_address(self.signer.address)} cannot sign for {entry.key}")
        signed = self.signer.sign(
            Transaction(
                chain_id=entry.chain_id,
                nonce=entry.nonce,
                to=entry.sender if voids else entry.recipient,
                value_wei=0 if voids else entry.value_wei,
                calldata=b"" if voids else entry.calldata,
                gas=gas,
                max_fee_per_gas_wei=fee.max_fee_wei,
                max_priority_fee_per_gas_wei=fee.priority_fee_wei,
            )
        )
        now = self.clock.now()
        attempt = Attempt(
            number=number,
            voids=voids,
            tx_hash=signed.tx_hash,
            raw=signed.raw,
            gas=gas,
            max_fee_per_gas_wei=fee.max_fee_wei,
            max_priority_fee_per_gas_wei=fee.priority_fee_wei,
            signed_at=now,
        )
        with self.database.transaction() as session:
            rows.add_attempt(session, entry, attempt)
            after = rows.record(session, entry, OutboxState.SIGNED, now, tx_hash=signed.tx_hash)
            faultpoint("outbox.sign.before_commit")
        faultpoint("outbox.sign.after_commit")
        return after, attempt

    def _require_code(self, entry: OutboxEntry) -> None:
        """Refuse to call an address whose code is not the deployed contract's."""
        if self.code_hashes is None:
            return
        expected = self.code_hashes.get(entry.recipient)
        if expected is None:
            raise CodeMissingError(f"{checksum_address(entry.recipient)} is no contract of this deployment")
        if self.connection.code_hash(entry.recipient) != expected:
            raise CodeMissingError(f"the code at {checksum_address(entry.recipient)} is not what was deployed")


def _fee_of(attempt: Attempt) -> Fee:
    return Fee(max_fee_wei=attempt.max_fee_per_gas_wei, priority_fee_wei=attempt.max_priority_fee_per_gas_wei)
