"""Which thresholds of the rules a node missed, and what each one cost it, to the wei.

A cost is the payout with exactly that threshold reached, everything else and everybody else's weight as it was,
minus the payout. Two missed thresholds of which either alone gives nothing cost nothing alone: see `together`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ledger.model.allocation import NodeStatement
from ledger.model.policy import Policy
from ledger.model.reasons import UNRESOLVED, VERIFIER_OUTAGE
from ledger.model.units import PPM, Wei, ceil_div

Otherwise = Callable[[Mapping[str, int]], NodeStatement]
"""The node's statement with some of its counts changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedThreshold:
    """One threshold: what there was, what it takes, what that cost. `unit` is that of `has` and `needs`."""

    name: str
    rule: str
    has: int
    needs: int
    unit: str
    cost_wei: Wei | None
    """None where nobody can say: no minute was judged."""
    sentence: str
    changes: Mapping[str, int]
    """The counts that would have reached it, by their names in the statement."""

    @property
    def distance_ppm(self) -> int:
        """How far off it was, as a share of what it takes."""
        return abs(self.needs - self.has) * PPM // max(self.needs, 1)


def changes_asked(paid: NodeStatement, policy: Policy) -> list[Mapping[str, int]]:
    """Every change whose outcome the functions below ask for, so that all can be settled at once."""
    reckoned = [missed.changes for missed in _all_missed(paid, policy) if missed.changes]
    together = [_all_of(reckoned)] if len(reckoned) > 1 else []
    return [*reckoned, *together, *([_as_reference(paid)] if paid.efficiency < PPM else [])]


def missed_thresholds(paid: NodeStatement, policy: Policy, otherwise: Otherwise) -> tuple[MissedThreshold, ...]:
    """Every threshold the node missed, the nearest first."""
    found = [_with_cost(missed, paid, otherwise) for missed in _all_missed(paid, policy)]
    return tuple(sorted(found, key=lambda missed: missed.distance_ppm))


def together_wei(missed: tuple[MissedThreshold, ...], paid: NodeStatement, otherwise: Otherwise) -> Wei | None:
    """What all missed thresholds cost together; None for fewer than two that can be reckoned."""
    reckoned = [each.changes for each in missed if each.cost_wei is not None]
    return Wei(otherwise(_all_of(reckoned)).pay_wei - paid.pay_wei) if len(reckoned) > 1 else None


def low_efficiency_wei(paid: NodeStatement, otherwise: Otherwise) -> Wei:
    """The memo of R4.20: what drawing more than the reference cost, against drawing exactly as much (E = 1)."""
    if paid.efficiency >= PPM:
        return Wei(0)
    return Wei(otherwise(_as_reference(paid)).pay_wei - paid.pay_wei)


def percent(ppm: int) -> str:
    """A share as people read it, every digit that matters: 942000 ppm is `94.2 %`."""
    whole, part = divmod(abs(ppm), PPM // 100)
    decimals = f"{part:04d}".rstrip("0")
    return ("-" if ppm < 0 else "") + f"{whole}" + (f".{decimals}" if decimals else "") + " %"


def _all_missed(paid: NodeStatement, policy: Policy) -> list[MissedThreshold]:
    return [*_capacity(paid, policy), *_sight(paid), *_doubt(paid), *_uptime(paid, policy)]


def _all_of(reckoned: Iterable[Mapping[str, int]]) -> Mapping[str, int]:
    """All changes at once; of two uptime thresholds the higher one counts."""
    changes: dict[str, int] = {}
    for each in reckoned:
        changes |= {name: max(value, changes.get(name, value)) for name, value in each.items()}
    return changes


def _as_reference(paid: NodeStatement) -> Mapping[str, int]:
    return {"act_e4": paid.ref_e4}


def _with_cost(missed: MissedThreshold, paid: NodeStatement, otherwise: Otherwise) -> MissedThreshold:
    cost = Wei(otherwise(missed.changes).pay_wei - paid.pay_wei) if missed.changes else None
    return MissedThreshold(
        name=missed.name,
        rule=missed.rule,
        has=missed.has,
        needs=missed.needs,
        unit=missed.unit,
        cost_wei=cost,
        sentence=missed.sentence,
        changes=missed.changes,
    )


def _missed(
    name: str, rule: str, has: int, needs: int, unit: str, sentence: str, **changes: int
) -> Iterator[MissedThreshold]:
    yield MissedThreshold(
        name=name, rule=rule, has=has, needs=needs, unit=unit, cost_wei=None, sentence=sentence, changes=changes
    )


def _capacity(paid: NodeStatement, policy: Policy) -> Iterator[MissedThreshold]:
    has, needs = paid.capacity_passes, policy.quorum_q
    if has < needs:
        what = f"{has} of the node's checkers saw the hardware work as registered, need {needs}"
        yield from _missed("capacity-quorum", "R2.8", has, needs, "checkers", what, capacity_passes=needs)


def _sight(paid: NodeStatement) -> Iterator[MissedThreshold]:
    if VERIFIER_OUTAGE in paid.reasons.split(","):
        hours = paid.hours_unresolved + paid.hours_unobserved
        what = f"none of {hours} hours was resolved by enough checkers, need 1; without one no minute is judged"
        yield from _missed("resolved-hours", "R2.7", 0, 1, "hours", what)


def _doubt(paid: NodeStatement) -> Iterator[MissedThreshold]:
    observed = paid.hours_resolved + paid.hours_unresolved
    if UNRESOLVED not in paid.reasons.split(",") or paid.hours_resolved == 0:
        return
    allowed = observed // 4
    what = f"{paid.hours_unresolved} of {observed} observed hours are unresolved, at most {allowed} may be"
    yield from _missed(
        "unresolved-hours", "R2.6", paid.hours_unresolved, allowed, "hours", what,
        hours_unresolved=allowed, hours_resolved=observed - allowed,
    )  # fmt: skip


def _uptime(paid: NodeStatement, policy: Policy) -> Iterator[MissedThreshold]:
    if paid.expected_minutes == 0:
        return
    if paid.u_ppm <= policy.u_min_ppm:
        what = f"{percent(paid.u_ppm)} uptime, need more than {percent(policy.u_min_ppm)} for any pay"
        needs = policy.u_min_ppm + 1
        yield from _missed("uptime-minimum", "R4.2", paid.u_ppm, needs, "ppm", what, up_minutes=_minutes(paid, needs))
    if paid.u_ppm < policy.u_full_ppm:
        needs = policy.u_full_ppm
        minutes = _minutes(paid, needs)
        what = (
            f"{percent(paid.u_ppm)} uptime, need {percent(needs)} for the full ramp "
            f"({minutes - paid.up_minutes} more minutes)"
        )
        yield from _missed("uptime-full-ramp", "R4.2", paid.u_ppm, needs, "ppm", what, up_minutes=minutes)


def _minutes(paid: NodeStatement, u_ppm: int) -> int:
    """The fewest UP minutes that give at least this u."""
    return ceil_div(u_ppm * paid.expected_minutes, PPM)
