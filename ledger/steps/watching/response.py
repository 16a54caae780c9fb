"""What a watcher does about a verdict: the guardian throws a bad header away inside its window, or somebody is woken.

Acting comes first, telling second: an alarm that cannot be delivered never holds up a revocation.
"""

from dataclasses import dataclass
from enum import StrEnum

from ledger.chain.contracts.roles import Role
from ledger.chain.errors import CallRevertedError, TransactionPendingError, TransactionRevertedError
from ledger.chain.sending.signer import Signer
from ledger.chain.sending.transact import plan_transaction, send
from ledger.model.errors import LedgerError, MismatchError, RefusedError
from ledger.model.units import Hash32, to_hex
from ledger.steps.settlement import Settlement
from ledger.steps.watching.look import Judged, Verdict
from ledger.tree.keccak import checksum_address


class WatchAlarmError(MismatchError):
    """A header on chain does not recompute, or cannot be recomputed here."""

    code = "watch.alarm"
    default_hint = "ath-ledger audit verify --epoch N; the guardian: ath-ledger gov revoke-epoch --broadcast"


class NotGuardianError(RefusedError):
    """The key that is to revoke may not."""

    code = "watch.not-guardian"
    default_hint = "ath-ledger chain roles; name the guardian's keystore, or none to be told only"


class MissingPolicy(StrEnum):
    """What to do about a header that cannot be recomputed because evidence is missing here."""

    REVOKE = "revoke"
    ALARM = "alarm"


class Action(StrEnum):
    """What was done about a header."""

    NOTHING = "nothing"
    ALARMED = "alarmed"
    REVOKED = "revoked"
    REVOCATION_SENT = "revocation sent"
    """Not mined in time; the next look sees what became of it."""
    REVOCATION_FAILED = "revocation failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A verdict, and what came of it."""

    judged: Judged
    action: Action
    transaction: Hash32 | None = None
    detail: str = ""

    @property
    def is_alarm(self) -> bool:
        """Whether somebody must know."""
        return self.judged.verdict is not Verdict.FINE

    def document(self) -> dict[str, object]:
        """The response as JSON values, for a webhook."""
        judged = self.judged
        return {
            "event": "ath-ledger.watch",
            "epoch": judged.epoch,
            "headerHash": to_hex(judged.header_hash),
            "verdict": judged.verdict.value,
            "active": judged.is_active,
            "activatesAt": judged.activates_at,
            "action": self.action.value,
            "transaction": None if self.transaction is None else to_hex(self.transaction),
            "detail": self.detail or judged.why,
            "differences": [
                {"where": each.where, "expected": each.expected, "found": each.found} for each in judged.differences
            ],
        }


def require_guardian(settlement: Settlement, guardian: Signer) -> None:
    """Raise NotGuardianError unless the account may revoke at once; said at the start, not in the emergency."""
    connection = settlement.connection
    manager = settlement.deployment.access_manager(connection)
    access = manager.access(Role.GUARDIAN, guardian.address, connection.head().hash)
    shown = checksum_address(guardian.address)
    if not access.is_member:
        raise NotGuardianError(f"{shown} is no guardian")
    if access.delay_seconds:
        raise NotGuardianError(f"{shown} is guardian with a delay of {access.delay_seconds} s: too late for a window")


def respond(settlement: Settlement, judged: Judged, guardian: Signer | None, missing: MissingPolicy) -> Response:
    """Revoke a header that does not recompute, where there is a key and still time; never touch a fine one."""
    if judged.verdict is Verdict.FINE:
        return Response(judged=judged, action=Action.NOTHING)
    wanted = judged.verdict is Verdict.WRONG or missing is MissingPolicy.REVOKE
    if judged.is_active or guardian is None or not wanted:
        return Response(judged=judged, action=Action.ALARMED)
    return _revoke(settlement, judged, guardian)


def _revoke(settlement: Settlement, judged: Judged, guardian: Signer) -> Response:
    """Send the revocation. Twice is harmless: the contract refuses the second."""
    connection = settlement.connection
    call = settlement.rewards_ledger.revoke_epoch(judged.header)
    try:
        receipt = send(connection, guardian, plan_transaction(connection, guardian.address, call, settlement.fees))
    except TransactionPendingError as error:
        return Response(judged=judged, action=Action.REVOCATION_SENT, detail=error.what)
    except (CallRevertedError, TransactionRevertedError) as error:
        return Response(judged=judged, action=Action.REVOCATION_FAILED, detail=error.what)
    except LedgerError as error:  # no gas money, a fee above the cap, a node that is gone: the alarm must still go out
        return Response(judged=judged, action=Action.REVOCATION_FAILED, detail=f"{error.code}: {error.what}")
    return Response(judged=judged, action=Action.REVOKED, transaction=receipt.tx_hash)
