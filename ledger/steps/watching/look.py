"""One look at the chain: every epoch that was activated and the one in its window, each held against its derivation."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from enum import StrEnum

from ledger.audit.comparison import Difference, shown
from ledger.chain.following.epoch_history import EpochHappening, EpochHistory, Happening, epoch_history
from ledger.chain.node.connection import Block
from ledger.model.errors import EnvironmentFailure, LedgerError
from ledger.model.header import EpochHeader
from ledger.model.units import EpochNumber, Hash32, Timestamp
from ledger.steps.auditing.node import followed_to, require_reached, require_shown
from ledger.steps.ledger import Ledger
from ledger.steps.watching.derivation import Derived, Walked, derive


class Verdict(StrEnum):
    """What a watcher thinks of a header."""

    FINE = "fine"
    WRONG = "wrong"
    """It does not recompute."""
    MISSING = "missing"
    """It cannot be recomputed here: evidence is missing or damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One header on chain, and why it is fine or not."""

    epoch: EpochNumber
    header: EpochHeader
    header_hash: Hash32
    activates_at: Timestamp
    """When the window has passed."""
    is_active: bool
    """Too late for the guardian: claims are open."""
    verdict: Verdict
    differences: tuple[Difference, ...] = ()
    why: str = ""
    """What is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look at one block found; only headers that were not judged before, and those still missing something."""

    block: Block
    judged: tuple[Judged, ...]
    pending: Judged | None
    """The verdict on the header in its window, however old."""


@dataclass(slots=True)
class Watcher:
    """Looks again and again; epochs whose activation is final are derived once."""

    ledger: Ledger
    _walked: dict[EpochNumber, Walked] = field(default_factory=dict)
    """What each finally activated epoch leaves."""
    _verdicts: dict[Hash32, Judged] = field(default_factory=dict)
    _final: int = 0
    """The highest block that was final at a look."""

    def look(self) -> Look:
        """Judge what the newest block shows. Raises the chain's own errors; everything else is a verdict."""
        settlement = self.ledger.settlement()
        connection = settlement.connection
        head = connection.head()
        require_reached(head.number, self._known_block(), "this watcher has seen")
        settlement.deployment.check(connection, head.hash)
        history = epoch_history(connection, settlement.deployment, head)
        require_shown(settlement.rewards_ledger, history, head)
        final = connection.final_block(settlement.finality)
        self._final = max(self._final, -1 if final is None else final.number)
        new: list[Judged] = []
        pending = None
        for judged, is_new in self._all(history, -1 if final is None else final.number):
            new += [judged] if is_new else []
            pending = None if judged.is_active else judged
        return Look(block=head, judged=tuple(new), pending=pending)

    def _known_block(self) -> int:
        """What a node must have: what was final at the last look, or in the books. A reorganisation is above it."""
        return max(self._final, followed_to(self.ledger))

    def _all(self, history: EpochHistory, final: int) -> Iterator[tuple[Judged, bool]]:
        proposals = {each.header_hash: each for each in history.of(Happening.PROPOSED)}
        happened = [(proposals[each.header_hash], each.block) for each in history.of(Happening.ACTIVATED)]
        if history.in_window is not None:
            happened.append((history.in_window, -1))
        walked, broken = Walked(), ""
        for proposal, active_in in happened:
            is_active = active_in >= 0
            known = self._verdicts.get(proposal.header_hash)
            if known is not None and known.is_active == is_active and proposal.epoch in self._walked:
                walked = self._walked[proposal.epoch]
                yield known, False
                continue
            if not is_active and known is not None and not broken:
                yield known, False
                continue
            derived, why = (None, broken) if broken else self._derived(history, proposal.epoch, walked)
            judged = self._judge(proposal, derived, why, is_active=is_active)
            broken = broken or (why and f"epoch {proposal.epoch} could not be recomputed: {why}")
            if derived is not None:
                walked = derived.walked
                if judged.verdict is not Verdict.MISSING and (not is_active or active_in <= final):
                    self._verdicts[proposal.header_hash] = judged
                if is_active and active_in <= final:
                    self._walked[proposal.epoch] = walked
            yield judged, True

    def _derived(self, history: EpochHistory, epoch: EpochNumber, before: Walked) -> tuple[Derived | None, str]:
        try:
            return derive(self.ledger, history, epoch, before), ""
        except EnvironmentFailure:
            raise
        except LedgerError as error:
            return None, f"{error.code}: {error.what}"

    def _judge(self, proposal: EpochHappening, derived: Derived | None, why: str, *, is_active: bool) -> Judged:
        header, activates_at = proposal.header, proposal.activates_at
        if header is None or activates_at is None:
            raise TypeError("a proposal carries its header")
        verdict = Verdict.MISSING
        differences: tuple[Difference, ...] = ()
        if derived is not None:
            differences = (*derived.faults, *self._differences(derived.header, proposal, header))
            verdict = Verdict.WRONG if differences else Verdict.FINE
            if differences and not derived.batches:
                verdict, why = Verdict.MISSING, f"no batch of epoch {proposal.epoch} is here"
        return Judged(
            epoch=proposal.epoch,
            header=header,
            header_hash=proposal.header_hash,
            activates_at=activates_at,
            is_active=is_active,
            verdict=verdict,
            differences=differences,
            why=why,
        )

    def _differences(self, expected: EpochHeader, proposal: EpochHappening, found: EpochHeader) -> Iterator[Difference]:
        """Every field that is not as derived; and a proposal before all evidence could be there (R3.4)."""
        for name in (each.name for each in fields(EpochHeader)):
            left, right = getattr(expected, name), getattr(found, name)
            if left != right:
                yield Difference(where=f"header · {name}", expected=shown(left), found=shown(right))
        cut_off = self.ledger.calendar.cut_off(proposal.epoch)
        proposed_at = self.ledger.settlement().connection.block(proposal.block).timestamp
        if proposed_at <= cut_off:
            yield Difference(where="time of the proposal", expected=f"after {cut_off}", found=str(proposed_at))
