"""What people do: operators claim, a guardian revokes and a governor reopens, a stranger activates.

Operators, guardian and governor use the ledger's own code, in processes that fail like any other; the stranger's
transactions come from nowhere.
"""

from functools import cache
from typing import TYPE_CHECKING

from ledger.chain.contracts.artefacts import REWARDS_LEDGER, interface
from ledger.chain.contracts.rewards_ledger import header_words
from ledger.db import epochs
from ledger.model.epoch import EpochState
from ledger.model.errors import NotFoundError
from ledger.model.header import EpochHeader
from ledger.model.units import Address, EpochNumber, Hash32
from ledger.steps.claim import claim_of, send_call
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.sealed import header_of
from ledger.steps.transactions.sending import send_once
from ledger.steps.transitions.halt import resume
from ledger.tree.commitments import header_hash

from . import stage
from .chain import GWEI, raw_bytes

if TYPE_CHECKING:
    from .world import World


class People:
    """Everybody outside the workers, in one world."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.claimants = stage.OPERATORS[-world.scenario.claimants :] if world.scenario.claimants else ()

    def act(self) -> None:
        """Somebody does what they want to do, in an idle process."""
        world = self._world
        idle = [worker for worker in world.workers if not worker.doing]
        if not idle:
            return
        wishes = [lambda ledger, who=who: self.claim(ledger, who) for who in self.claimants]
        if world.scenario.revoked is not None:
            wishes += [self.revoke, self.reopen]
        if world.scenario.is_deep:
            wishes.append(self.resume)
        if wishes:
            at = world.rng.randrange(len(wishes))
            world.begin(world.rng.choice(idle), f"person {at}", wishes[at])

    def finish(self, ledger: Ledger) -> None:
        """In the calm: proposals are reopened where they were closed, and claimants take what is left at the end."""
        world = self._world
        state = world.chain.head.state
        if world.is_undisturbed and world.scenario.revoked is not None:
            world.perform(ledger, "revoke", self.revoke)
        if not state.proposals_open:
            world.perform(ledger, "reopen", self.reopen)
        if state.next_epoch == world.scenario.epochs:
            for who in self.claimants:
                if state.claimed.get(who, 0) < self.earned(who):
                    world.perform(ledger, "claim", lambda ledger, who=who: self.claim(ledger, who))

    def earned(self, who: Address) -> int:
        """What an operator earns in all epochs of the scenario."""
        return sum(stage.payouts(epoch)[who] for epoch in range(self._world.scenario.epochs))

    def claim(self, ledger: Ledger, who: Address) -> None:
        """`ath-ledger rewards claim`."""
        try:
            claim = claim_of(ledger, who)
        except NotFoundError:
            return  # nothing is final yet
        if not claim.quote.is_settled:
            send_call(ledger, stage.SimSigner(who), claim.quote.call, "claim")

    def revoke(self, ledger: Ledger) -> None:
        """`ath-ledger gov revoke-epoch`: the first proposal of the scenario's epoch, while it is in its window."""
        epoch = EpochNumber(self._world.scenario.revoked or 0)
        settlement = ledger.settlement()
        with ledger.database.reading() as session:
            standing = epochs.current(session, epoch)
            if standing.attempt > 1 or standing.state not in {EpochState.PROPOSED, EpochState.ACTIVE}:
                return
            header = header_of(session, epoch)
        pending = settlement.rewards_ledger.pending("latest")
        if pending is not None and pending.header_hash == header_hash(header):
            call = settlement.rewards_ledger.revoke_epoch(header)
            send_once(ledger, stage.SimSigner(stage.GUARDIAN), call, "revoke")

    def reopen(self, ledger: Ledger) -> None:
        """`ath-ledger gov reopen`, where proposals are closed."""
        contract = ledger.settlement().rewards_ledger
        if not contract.proposals_open("latest"):
            send_once(ledger, stage.SimSigner(stage.GOVERNOR), contract.reopen_proposals(), "reopen")

    def resume(self, ledger: Ledger) -> None:
        """`ath-ledger epoch resume`, where an epoch is halted."""
        with ledger.database.reading() as session:
            halted = [each.epoch for each in epochs.all_standings(session) if each.state is EpochState.HALTED]
        for epoch in halted:
            resume(ledger, epoch, "looked at: the chain has settled")

    def may_activate(self) -> bool:
        """Whether anybody could activate now."""
        state = self._world.chain.head.state
        return 0 < state.activates_at <= self._world.clock.true and self._pending_header() is not None

    def activate(self) -> None:
        """A stranger activates what is in its window no longer."""
        header = self._pending_header()
        if header is None:
            return
        world = self._world
        nonce = world.chain.head.nonces.get(stage.STRANGER, 0)
        world.note("stranger activates", header.epoch)
        raw = raw_bytes(
            stage.STRANGER, nonce, stage.ADDRESSES[REWARDS_LEDGER], 300 * GWEI, 2 * GWEI, _activation(header)
        )
        world.submit(raw)

    def _pending_header(self) -> EpochHeader | None:
        """The header in its window, from the log of its proposal as anybody can read it."""
        wanted: Hash32 = self._world.chain.head.state.pending_hash
        for block in reversed(self._world.chain.blocks[self._world.history :]):
            for log in block.logs:
                if log.event == "EpochProposed" and log.values["headerHash"] == wanted:
                    found: EpochHeader = log.values["header"]
                    return found
        return None


@cache
def _activation(header: EpochHeader) -> bytes:
    return interface(REWARDS_LEDGER).encode("activateEpoch", header_words(header))
