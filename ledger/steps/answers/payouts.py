"""Whether an operator's payout is late, and why: epoch by epoch, what is awaited and since when it should be there."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, assert_never

from sqlalchemy.orm import Session

from ledger.db import chain_log, epochs
from ledger.db.epochs import EpochStanding
from ledger.model.epoch import COMPUTED_STATES, EpochState
from ledger.model.errors import EnvironmentFailure
from ledger.model.units import Address, EpochNumber, Timestamp
from ledger.steps.answers.rewards import OperatorUnknownError, history_rows, operator_fact
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.open_differences import open_differences
from ledger.steps.transitions.transition import utc

SETTLING_SECONDS: Final = 3_600
"""How long computing, sealing and two final transactions may take together before anybody calls it late."""
_LOOKED_BACK: Final = 30


class PayoutStanding(StrEnum):
    """Where an epoch's payout is."""

    PAID = "claimable"
    ON_TIME = "on time"
    LATE = "late"


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitedPayout:
    """One epoch's payout: when it is due, and what it waits for."""

    epoch: EpochNumber
    state: EpochState
    due: Timestamp
    standing: PayoutStanding
    why: str

    def row(self) -> dict[str, Any]:
        """As values."""
        return {
            "epoch": self.epoch,
            "state": self.state.value,
            "due": utc(self.due),
            "standing": self.standing.value,
            "is_late": self.standing is PayoutStanding.LATE,
            "why": self.why,
        }


def operator_payouts(ledger: Ledger, operator: Address, window_seconds: int) -> list[dict[str, Any]]:
    """Every awaited payout and what of it is the operator's, where that is computed. OperatorUnknownError."""
    operator_fact(ledger, operator)
    rows = []
    for each in awaited_payouts(ledger, window_seconds, now_of(ledger)):
        rows.append(
            {**each.row(), "payout_wei": _earned(ledger, operator, each) if each.state in COMPUTED_STATES else None}
        )
    return rows


def _earned(ledger: Ledger, operator: Address, payout: AwaitedPayout) -> int | None:
    try:
        return int(history_rows(ledger, operator, payout.epoch)[0]["payout_wei"])
    except OperatorUnknownError:
        return None


def now_of(ledger: Ledger) -> Timestamp:
    """The ledger's time; that of the last final block where its clock is a chain that does not answer."""
    try:
        return ledger.clock.now()
    except EnvironmentFailure:
        with ledger.database.reading() as session:
            final = chain_log.final_point(session, ledger.domain.chain_id)
        if final is None:
            raise
        return final.timestamp


def awaited_payouts(ledger: Ledger, window_seconds: int, now: Timestamp) -> list[AwaitedPayout]:
    """Every epoch that has ended and is not final, oldest first, and the last final one before them.

    An epoch's payout is due when its cut-off, the contract's window and an hour for settling are over.
    """
    last_ended = ledger.calendar.epoch_at(now) - 1
    with ledger.database.reading() as session:
        standings = {each.epoch: each for each in epochs.all_standings(session)}
        finals = [number for number, each in standings.items() if each.state is EpochState.FINAL]
        first = max(0, max(finals, default=0), last_ended - _LOOKED_BACK)
        return [
            _awaited(ledger, session, EpochNumber(number), standings, window_seconds, now)
            for number in range(first, last_ended + 1)
        ]


def _awaited(
    ledger: Ledger,
    session: Session,
    epoch: EpochNumber,
    standings: dict[EpochNumber, EpochStanding],
    window_seconds: int,
    now: Timestamp,
) -> AwaitedPayout:
    standing = standings.get(epoch)
    state = EpochState.OPEN if standing is None else standing.state
    due = Timestamp(ledger.calendar.cut_off(epoch) + window_seconds + SETTLING_SECONDS)
    if state is EpochState.FINAL:
        return AwaitedPayout(
            epoch=epoch, state=state, due=due, standing=PayoutStanding.PAID, why="it is final and can be claimed"
        )
    why = _why(ledger, session, epoch, state, "" if standing is None else standing.reason, now)
    late = PayoutStanding.LATE if now > due else PayoutStanding.ON_TIME
    return AwaitedPayout(epoch=epoch, state=state, due=due, standing=late, why=why)


def _why(ledger: Ledger, session: Session, epoch: EpochNumber, state: EpochState, reason: str, now: Timestamp) -> str:
    before = EpochNumber(epoch - 1)
    follows = epoch == 0 or epochs.state_of(session, before) is EpochState.FINAL
    match state:
        case EpochState.OPEN if now <= ledger.calendar.cut_off(epoch):
            return f"evidence may still arrive until {utc(ledger.calendar.cut_off(epoch))}"
        case EpochState.OPEN:
            return "its cut-off has passed and it is not frozen: the ledger does not run, or the chain is behind"
        case EpochState.HALTED:
            return f"it is halted until a person has looked: {reason}"
        case EpochState.REVOKED:
            return "its proposal was revoked; it is computed anew"
        case EpochState.FROZEN if not follows:
            return f"epoch {before} comes first and is {epochs.state_of(session, before)}"
        case EpochState.FROZEN:
            return "it is being computed"
        case EpochState.COMPUTED | EpochState.SEALED | EpochState.PROPOSED if differences := open_differences(session):
            return f"books and chain differ, and nothing is paid out until {differences[0].key} is explained"
        case EpochState.COMPUTED | EpochState.SEALED:
            return "it is sealed and proposed next"
        case EpochState.PROPOSED:
            return "it is proposed on chain; guardians may revoke it until its window is over"
        case EpochState.ACTIVE:
            return "it is activated on chain; the block is not final yet"
        case EpochState.FINAL:
            return "it is final and can be claimed"
        case _:
            assert_never(state)
