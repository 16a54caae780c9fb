"""Which items an epoch is computed from: the same, whatever the door knew when they came (R3.15).

The door refuses a batch whose signer holds no role as soon as it can know the roles. A batch that came before, or while
the chain did not answer, was taken in; the freeze, which knows the roles, leaves it out, and what revokes it with it.
"""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy.orm import Session

from ledger.db import items
from ledger.evidence.items.typed_data import schema_id, schema_titled
from ledger.evidence.judging.roles import RoleBook, role_refusal
from ledger.evidence.storage.item_files import read_revocation
from ledger.evidence.storage.store import ItemKind
from ledger.model.refusals import ItemRefusedError, refused
from ledger.model.units import EpochNumber, Hash32, from_hex, to_hex
from ledger.steps.ledger import Ledger


def strangers(
    ledger: Ledger, session: Session, epoch: EpochNumber, roles: RoleBook, *, last_arrival: int
) -> dict[Hash32, tuple[items.Item, ItemRefusedError]]:
    """What had been taken in up to `last_arrival` and the epoch's roles shut out, with the reason, by digest."""
    holding = roles.in_epoch(epoch)
    found: dict[Hash32, tuple[items.Item, ItemRefusedError]] = {}
    for item in items.items(session, kind=ItemKind.BATCH.value, epoch=epoch):
        schema = schema_titled(item.schema)
        if item.arrival <= last_arrival and schema is not None and (schema_id(schema), item.signer) not in holding:
            found[item.uid] = item, role_refusal(schema_id(schema), epoch)
    if found:  # only then is a revocation opened
        for item in items.items(session, kind=ItemKind.REVOCATION.value, epoch=epoch):
            content = ledger.evidence.get(ItemKind.REVOCATION, item.uid)
            named = read_revocation(content, ledger.domain).revocation.batch_uid
            if item.arrival <= last_arrival and named in found:
                what = f"no batch {to_hex(named)} in this epoch"
                found[item.uid] = item, refused("revocation.unknown-batch", what)
    return dict(sorted(found.items()))


def frozen_set(
    ledger: Ledger, session: Session, epoch: EpochNumber, left_out: Collection[Hash32], *, last_arrival: int
) -> tuple[items.Item, ...]:
    """The items of the epoch, by ascending digest: what had arrived, without what was left out."""
    start = ledger.calendar.start(epoch)
    arrived = items.frozen_items(session, epoch=epoch, start=start, last_arrival=last_arrival)
    return tuple(item for item in arrived if item.uid not in left_out)


def left_out_of(facts: Mapping[str, Any]) -> frozenset[Hash32]:
    """The digests that a freeze recorded as left out; `facts` are those of its transition."""
    return frozenset(Hash32(from_hex(uid, 32)) for uid in facts["leftOut"])
