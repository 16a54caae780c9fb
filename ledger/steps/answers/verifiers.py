"""Verifiers: their roles, what they sent, and the place of the next batch in their sequences."""

from typing import TYPE_CHECKING, Any

from ledger.chain.deploying.configuration import FOREVER
from ledger.db import items
from ledger.evidence.items.typed_data import Schema, schema_of
from ledger.evidence.judging.roles import RoleBook, VerifierRole
from ledger.evidence.storage.store import ItemKind
from ledger.model.epoch import SUBMISSION_GRACE_SECONDS
from ledger.model.errors import NotFoundError
from ledger.model.units import Address, EpochNumber, to_hex
from ledger.steps.answers.payouts import now_of
from ledger.steps.ledger import Ledger
from ledger.steps.preparing.drafting import next_place
from ledger.steps.recorded.announced import announced_roles
from ledger.tree.keccak import checksum_address

if TYPE_CHECKING:
    from ledger.chain.deploying.deployment import Deployment


class VerifierUnknownError(NotFoundError):
    """The account has never held a verifier's role."""

    code = "verifier.unknown"
    default_hint = "ath-ledger gov verifier list"


def role_rows(book: RoleBook, epoch: EpochNumber | None = None) -> list[dict[str, Any]]:
    """Roles in the order they were set; for an epoch those that hold in it."""
    kept = book.roles if epoch is None else tuple(book.in_epoch(epoch).values())
    return [_role_row(role) for role in sorted(kept, key=lambda role: role.order)]


def verifier_fact(ledger: Ledger, deployment: "Deployment", verifier: Address) -> dict[str, Any]:
    """One verifier: roles, batches by epoch and schema. Raises VerifierUnknownError."""
    roles = [role for role in announced_roles(ledger, deployment).roles if role.verifier == verifier]
    with ledger.database.reading() as session:
        sent = items.items(session, kind=ItemKind.BATCH.value, signer=verifier)
    if not roles and not sent:
        raise VerifierUnknownError(f"{checksum_address(verifier)} holds no role and sent nothing")
    counts: dict[tuple[int, str], int] = {}
    for item in sent:
        key = (int(item.epoch or 0), item.schema)
        counts[key] = counts.get(key, 0) + 1
    return {
        "verifier": checksum_address(verifier),
        "roles": [_role_row(role) for role in roles],
        "batches": [
            {"epoch": epoch, "schema": schema, "batches": count} for (epoch, schema), count in sorted(counts.items())
        ],
    }


def next_places(
    ledger: Ledger, deployment: "Deployment", verifier: Address, epoch: EpochNumber | None = None
) -> list[dict[str, Any]]:
    """For each schema and epoch still open for evidence (or the one asked for): the next sequence and the uid before.

    A verifier that lost its notes goes on from here. Raises VerifierUnknownError.
    """
    roles = announced_roles(ledger, deployment)
    if not any(role.verifier == verifier for role in roles.roles):
        raise VerifierUnknownError(f"{checksum_address(verifier)} holds no role")
    rows = []
    for number in _open_epochs(ledger) if epoch is None else [epoch]:
        for schema_id, holder in sorted(roles.in_epoch(number)):
            schema = schema_of(schema_id)
            if holder == verifier and schema is not None:
                rows.append(_place(ledger, verifier, schema, number))
    return rows


def _place(ledger: Ledger, verifier: Address, schema: Schema, epoch: EpochNumber) -> dict[str, Any]:
    sequence, previous = next_place(ledger, verifier, schema, epoch)
    return {"epoch": epoch, "schema": schema.title, "sequence": sequence, "previous_batch": to_hex(previous)}


def _open_epochs(ledger: Ledger) -> list[EpochNumber]:
    """Those whose cut-off has not passed, up to the one that runs."""
    now = now_of(ledger)
    running = ledger.calendar.epoch_at(now)
    first = max(0, running - 1 - SUBMISSION_GRACE_SECONDS // ledger.calendar.length)
    numbers = [EpochNumber(number) for number in range(first, running + 1)]
    return [number for number in numbers if now <= ledger.calendar.cut_off(number)]


def _role_row(role: VerifierRole) -> dict[str, Any]:
    schema = schema_of(role.schema_id)
    return {
        "order": role.order,
        "schema": schema.title if schema else to_hex(role.schema_id),
        "verifier": checksum_address(role.verifier),
        "affiliation": checksum_address(role.affiliation) if any(role.affiliation) else "",
        "from_epoch": role.from_epoch,
        "until_epoch": None if role.until_epoch == FOREVER else role.until_epoch,
        "registries": ", ".join(to_hex(registry) for registry in role.registry_ids),
    }
