"""RewardsLedger as a model in whole numbers and dictionaries, with what it moves in vault and token.

Written from the contract's guarantees. `tests/chain/test_ledger_model.py` holds it against the real contracts on
Anvil, call by call; the simulated chain executes it. Left out: signed payees, role delays, foreign tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ledger.model.header import EpochHeader
from ledger.model.units import ZERO_ADDRESS, ZERO_HASH, Address, Hash32
from ledger.tree.abi import address_word, uint_word
from ledger.tree.commitments import header_hash
from ledger.tree.standard import leaf_hash, verify_proof

EventValues = tuple[str, dict[str, Any]]
"""An event's name and its arguments by the names of the ABI."""


class RefusedError(Exception):
    """The call reverts with this error of the ABI."""


def refuse(when: bool, error: str) -> None:
    """Revert with an error of the ABI."""
    if when:
        raise RefusedError(error)


@dataclass(slots=True, kw_only=True)
class Model:
    """RewardsLedger, and what it moves in vault and token. Every write takes its sender and the block's time."""

    ledger: Address
    token: Address
    vault: Address
    treasury: Address
    reserve: Address
    roles: dict[str, Address]
    genesis: int
    epoch_length: int
    window: int
    policy: Any
    policy_hash: Hash32
    claim_root: Hash32 = ZERO_HASH
    previous_root: Hash32 = ZERO_HASH
    saved_root: Hash32 = ZERO_HASH
    saved_previous_root: Hash32 = ZERO_HASH
    header_hashes: list[Hash32] = field(default_factory=lambda: [ZERO_HASH, ZERO_HASH])
    next_epoch: int = 0
    activates_at: int = 0
    rollover: int = 0
    proposals_open: bool = True
    paused: bool = False
    claimed: dict[Address, int] = field(default_factory=dict)
    payees: dict[Address, Address] = field(default_factory=dict)
    nonces: dict[Address, int] = field(default_factory=dict)
    balances: dict[Address, int] = field(default_factory=dict)
    carbon_through: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    events: list[EventValues] = field(default_factory=list)
    """What the calls since the last `copied` emitted; contract by contract as the ABI names them."""

    @property
    def last_hash(self) -> Hash32:
        """The last activated header's hash, or its correction's."""
        return self.header_hashes[self.next_epoch % 2]

    @property
    def pending_hash(self) -> Hash32:
        """The hash of the header in its window; zero while there is none."""
        return self.header_hashes[(self.next_epoch + 1) % 2] if self.activates_at else ZERO_HASH

    def copied(self) -> "Model":
        """The same state, to be changed on its own; without its events."""
        return replace(
            self,
            header_hashes=list(self.header_hashes),
            claimed=dict(self.claimed),
            payees=dict(self.payees),
            nonces=dict(self.nonces),
            balances=dict(self.balances),
            carbon_through=dict(self.carbon_through),
            events=[],
        )

    def payee_of(self, account: Address) -> Address:
        """Where an account's claims are paid."""
        return self.payees.get(account, account)

    def propose(self, sender: Address, now: int, header: EpochHeader) -> None:
        """proposeEpoch."""
        self._only("publisher", sender)
        refuse(not self.proposals_open, "ProposalsAreClosed")
        refuse(self.activates_at != 0, "EpochPending")
        refuse(header.epoch != self.next_epoch, "WrongEpoch")
        refuse(now < self.genesis + (self.next_epoch + 1) * self.epoch_length, "EpochNotOver")
        refuse(header.parent_hash != self.last_hash, "WrongParent")
        refuse(header.residual_micrograms >= 2**72, "ResidualTooLarge")
        refuse(header.policy_hash != self.policy_hash, "WrongPolicy")
        budget = self.policy.epoch_budget_wei
        refuse(header.reserve != budget * self.policy.reserve_bps // 10_000, "WrongReserve")
        refuse(header.carbon > budget * self.policy.carbon_cap_bps // 10_000, "CarbonAboveCap")
        given = header.payout + header.carbon + header.reserve + header.rollover
        refuse(given != budget + self.rollover, "WrongTotal")
        if header.payout:
            refuse(header.claim_root == ZERO_HASH, "RootMissing")
        else:
            refuse(header.claim_root != (self.saved_root if self.paused else self.claim_root), "RootWithoutPayout")
        self.header_hashes[(self.next_epoch + 1) % 2] = header_hash(header)
        self.activates_at = now + self.window
        self._emit("EpochProposed", **_of(header), header=header, activatesAt=self.activates_at)

    def revoke(self, sender: Address, _now: int, header: EpochHeader) -> None:
        """revokeEpoch."""
        self._only("guardian", sender)
        self._pending(header)
        self.activates_at = 0
        self.proposals_open = False
        self._emit("EpochRevoked", **_of(header))

    def reopen(self, sender: Address, _now: int) -> None:
        """reopenProposals."""
        self._only("governor", sender)
        refuse(self.proposals_open, "ProposalsAreOpen")
        self.proposals_open = True
        self._emit("ProposalsReopened")

    def activate(self, _sender: Address, now: int, header: EpochHeader) -> None:
        """activateEpoch."""
        self._pending(header)
        refuse(now < self.activates_at, "WindowOpen")
        refuse(self.paused, "ClaimsArePaused")
        if header.payout:
            self.previous_root, self.claim_root = self.claim_root, header.claim_root
        self._emit("EpochActivated", **_of(header))
        self._move(self.treasury, self.ledger, header.payout)
        self._move(self.treasury, self.vault, header.carbon)
        self._move(self.treasury, self.reserve, header.reserve)
        owed, paid_for, received = self.carbon_through.get(self.next_epoch - 1, (0, 0, 0))
        owed += header.residual_micrograms
        paid_more = min(header.carbon * 10**12 // self.policy.carbon_price_wei_per_tonne, owed - paid_for)
        self.carbon_through[self.next_epoch] = (owed, paid_for + paid_more, received + header.carbon)
        self._emit(
            "CarbonReceived",
            epoch=header.epoch,
            amount=header.carbon,
            residualMicrograms=header.residual_micrograms,
            paidForMicrograms=paid_more,
        )
        self.next_epoch += 1
        self.activates_at = 0
        self.rollover = header.rollover

    def claim(self, _sender: Address, _now: int, account: Address, cumulative: int, proof: Sequence[Hash32]) -> None:
        """claim."""
        payee, amount = self._settle(account, cumulative, proof)
        self._pay(payee, amount)

    def claim_many(
        self,
        _sender: Address,
        _now: int,
        accounts: Sequence[Address],
        cumulatives: Sequence[int],
        proofs: Sequence[Sequence[Hash32]],
    ) -> None:
        """claimMany."""
        for account, cumulative, proof in zip(accounts, cumulatives, proofs, strict=True):
            if cumulative > self.claimed.get(account, 0):
                self._pay(*self._settle(account, cumulative, proof))

    def set_payee(self, sender: Address, _now: int, payee: Address) -> None:
        """setPayee."""
        refuse(payee in (self.ledger, self.token), "PayeeNotAllowed")
        self.nonces[sender] = self.nonces.get(sender, 0) + 1
        self.payees.pop(sender, None)
        if payee not in (sender, ZERO_ADDRESS):
            self.payees[sender] = payee
        self._emit("PayeeSet", account=sender, payee=self.payee_of(sender))

    def pause(self, sender: Address, _now: int) -> None:
        """pauseClaims."""
        self._only("guardian", sender)
        refuse(self.paused, "ClaimsArePaused")
        self.paused = True
        self.saved_root, self.saved_previous_root = self.claim_root, self.previous_root
        self.claim_root = self.previous_root = ZERO_HASH
        self._emit("ClaimsPaused", claimRoot=self.saved_root, previousRoot=self.saved_previous_root)

    def resume(self, sender: Address, _now: int) -> None:
        """resumeClaims."""
        self._only("governor", sender)
        refuse(not self.paused, "ClaimsAreNotPaused")
        self.paused = False
        self.claim_root, self.previous_root = self.saved_root, self.saved_previous_root
        self.saved_root = self.saved_previous_root = ZERO_HASH
        self._emit("ClaimsResumed", claimRoot=self.claim_root, previousRoot=self.previous_root)

    def supersede(self, sender: Address, _now: int, header: EpochHeader) -> None:
        """supersedeRoot."""
        self._only("governor", sender)
        refuse(not self.paused, "ClaimsAreNotPaused")
        refuse(self.activates_at != 0, "EpochPending")
        refuse(self.next_epoch == 0, "NoEpochYet")
        refuse(header.epoch != self.next_epoch - 1, "WrongEpoch")
        refuse(header.parent_hash != self.last_hash, "WrongParent")
        refuse(header.policy_hash != self.policy_hash, "WrongPolicy")
        moved = header.payout or header.carbon or header.reserve or header.residual_micrograms
        refuse(bool(moved), "CorrectionMovesMoney")
        refuse(header.rollover != self.rollover, "WrongRollover")
        refuse(header.claim_root == ZERO_HASH, "RootMissing")
        self.header_hashes[self.next_epoch % 2] = header_hash(header)
        self.saved_root, self.saved_previous_root = header.claim_root, ZERO_HASH
        self._emit("RootSuperseded", **_of(header), header=header)

    def _only(self, role: str, sender: Address) -> None:
        refuse(sender != self.roles[role], "AccessManagedUnauthorized")

    def _pending(self, header: EpochHeader) -> None:
        refuse(self.activates_at == 0, "NothingPending")
        refuse(header_hash(header) != self.header_hashes[(self.next_epoch + 1) % 2], "WrongHeader")

    def _settle(self, account: Address, cumulative: int, proof: Sequence[Hash32]) -> tuple[Address, int]:
        leaf = leaf_hash(address_word(account) + uint_word(cumulative))
        known = any(
            root != ZERO_HASH and verify_proof(root, leaf, proof) for root in (self.claim_root, self.previous_root)
        )
        refuse(not known, "ClaimsArePaused" if self.paused else "InvalidProof")
        amount = cumulative - self.claimed.get(account, 0)
        refuse(amount <= 0, "NothingToClaim")
        self.claimed[account] = cumulative
        payee = self.payee_of(account)
        self._emit("Claimed", account=account, payee=payee, amount=amount, cumulative=cumulative)
        return payee, amount

    def _pay(self, payee: Address, amount: int) -> None:
        refuse(self.balances.get(self.ledger, 0) < amount, "TransferFailed")
        self._move(self.ledger, payee, amount)

    def _move(self, sender: Address, to: Address, amount: int) -> None:
        self.balances[sender] = self.balances.get(sender, 0) - amount
        self.balances[to] = self.balances.get(to, 0) + amount

    def _emit(self, event: str, **values: Any) -> None:
        self.events.append((event, values))


def _of(header: EpochHeader) -> dict[str, Any]:
    """The two indexed arguments of an event about an epoch."""
    return {"epoch": header.epoch, "headerHash": header_hash(header)}
