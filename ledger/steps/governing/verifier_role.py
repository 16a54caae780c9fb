"""A verifier's role as a call: what it says, whether the chain has it already, and whether it comes in time."""

from collections.abc import Sequence

from ledger.chain.contracts.contract import Call
from ledger.chain.deploying.configuration import FOREVER
from ledger.chain.following.governed import verifier_roles
from ledger.evidence.items.typed_data import Schema, schema_id, schema_titled
from ledger.model.errors import RefusedError, UsageError
from ledger.model.units import ZERO_ADDRESS, Address, Hash32, Timestamp, from_hex
from ledger.steps.governing.govern import now
from ledger.steps.ledger import Ledger


class VerifierNoticeError(RefusedError):
    """A role changes from the next epoch at the earliest."""

    code = "verifier.notice"
    default_hint = "name a later --from-epoch"


def verifier_call(
    ledger: Ledger,
    schema: str,
    verifier: Address,
    affiliation: Address | None,
    registries: Sequence[str],
    from_epoch: int,
    until_epoch: int | None,
) -> Call:
    """The call that sets a role (R1.2). UsageError for an unknown schema, or registries that do not fit it."""
    known = schema_titled(schema)
    if known is None:
        raise UsageError(f"unknown schema {schema!r}", hint=f"one of {', '.join(each.title for each in Schema)}")
    if bool(registries) != (known is Schema.RENEWABLE):
        raise UsageError("registries belong to the schema renewable, and to no other", hint="--registry 0x…")
    try:
        ids = [Hash32(from_hex(text, 32)) for text in registries]
    except ValueError as error:
        raise UsageError(f"--registry: {error}", hint="a registry's id is 0x and 64 hex digits") from error
    settlement = ledger.settlement()
    return settlement.deployment.policy_registry(settlement.connection).set_verifier(
        schema_id(known),
        verifier,
        affiliation or ZERO_ADDRESS,
        ids,
        from_epoch,
        FOREVER if until_epoch is None else until_epoch,
    )


def is_set(ledger: Ledger, call: Call) -> bool:
    """Whether the newest role of this verifier for this schema says exactly what the call would."""
    settlement = ledger.settlement()
    wanted = call.meaning.arguments
    book = verifier_roles(settlement.connection, settlement.deployment, settlement.connection.head())
    same = [role for role in book.roles if (role.schema_id, role.verifier) == (wanted["schema_id"], wanted["verifier"])]
    return bool(same) and all(
        getattr(same[-1], name) == (tuple(wanted[name]) if name == "registry_ids" else wanted[name])
        for name in ("affiliation", "registry_ids", "from_epoch", "until_epoch")
    )


def require_verifier_notice(ledger: Ledger, from_epoch: int, delay_seconds: int) -> None:
    """Raise VerifierNoticeError when the role could not be set in time for its first epoch."""
    executed_at = Timestamp(now(ledger, ledger.settlement().connection.head()) + delay_seconds)
    earliest = max(-1, ledger.calendar.epoch_at(executed_at)) + 1
    if from_epoch < earliest:
        raise VerifierNoticeError(
            f"announced now, the role is set at {executed_at} at the earliest and may hold from epoch {earliest} on, "
            f"not from {from_epoch}",
            hint=f"--from-epoch {earliest} or later",
        )
