"""Which items an epoch is computed from: the same, whatever the door knew when they came (R3.15).

The door refuses a batch whose signer holds no role as soon as it can know the roles. A batch that came before, or while
the chain did not answer, was taken in; the freeze, which knows the roles, leaves it out, and what revokes it with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from ledger.db import items
from ledger.evidence.files import read_revocation
from ledger.evidence.roles import RoleBook, role_refusal
from ledger.evidence.store import ItemKind
from ledger.evidence.typed_data import schema_id, schema_titled
from ledger.model.refusals import ItemRefusedError, refused
from ledger.model.units import EpochNumber, Hash32, to_hex
from ledger.steps.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenSet:
    """The items of an epoch, by ascending digest, and those that were taken in and left out, with the reason."""

    kept: tuple[items.Item, ...]
    left_out: tuple[tuple[items.Item, ItemRefusedError], ...]


def frozen_set(
    ledger: Ledger, session: Session, epoch: EpochNumber, roles: RoleBook, *, last_arrival: int
) -> FrozenSet:
    """What had arrived up to `last_arrival` and belongs to the epoch, under the roles of its roles block."""
    start = ledger.calendar.start(epoch)
    arrived = items.frozen_items(session, epoch=epoch, start=start, last_arrival=last_arrival)
    holding = roles.in_epoch(epoch)
    left_out: dict[Hash32, tuple[items.Item, ItemRefusedError]] = {}
    for item in arrived:
        schema = schema_titled(item.schema)
        if item.kind == ItemKind.BATCH and schema is not None and (schema_id(schema), item.signer) not in holding:
            left_out[item.uid] = item, role_refusal(schema_id(schema), epoch)
    if left_out:  # only then is a revocation opened
        for item in arrived:
            if item.kind == ItemKind.REVOCATION:
                content = ledger.evidence.get(ItemKind.REVOCATION, item.uid)
                named = read_revocation(content, ledger.domain).revocation.batch_uid
                if named in left_out:
                    left_out[item.uid] = (
                        item,
                        refused("revocation.unknown-batch", f"no batch {to_hex(named)} in this epoch"),
                    )
    return FrozenSet(
        kept=tuple(item for item in arrived if item.uid not in left_out), left_out=tuple(left_out.values())
    )


def recorded_set(
    ledger: Ledger, session: Session, epoch: EpochNumber, facts: Mapping[str, Any]
) -> tuple[items.Item, ...]:
    """The items that a freeze took, by ascending digest, as it recorded them; `facts` are those of its transition."""
    start, left_out = ledger.calendar.start(epoch), set(facts["leftOut"])
    arrived = items.frozen_items(session, epoch=epoch, start=start, last_arrival=int(facts["lastArrival"]))
    return tuple(item for item in arrived if to_hex(item.uid) not in left_out)
