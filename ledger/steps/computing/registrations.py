"""An epoch's registrations, verified in parts: those that are there are used, the missing ones are made here.

Registrations are fixed when the epoch begins, so workers prepare them during it; the computation then finds them done.
"""

from collections.abc import Sequence

from ledger.db import items, parts
from ledger.db.faultpoint import faultpoint
from ledger.evidence.storage.store import ItemKind
from ledger.evidence.storage.verified_registrations import VerifiedRegistrations
from ledger.model.units import EpochNumber, Hash32
from ledger.steps.computing.shards import Shard, shards_of
from ledger.steps.ledger import Ledger

KIND = "registrations"


def verified_registrations(ledger: Ledger, uids: Sequence[Hash32]) -> VerifiedRegistrations:
    """These registrations out of their parts; what is not there is verified now, and kept for the next epoch."""
    return VerifiedRegistrations.joined([_part(ledger, shard) for shard in shards_of(uids)])


def missing_shards(ledger: Ledger, epoch: EpochNumber) -> list[int]:
    """Numbers of the shards nobody has prepared yet; none before the epoch has begun."""
    if ledger.clock.now() < ledger.calendar.start(epoch):
        return []
    shards = _shards(ledger, epoch)
    with ledger.database.reading() as session:
        kept = parts.kept_parts(session, KIND, len(shards))
    return [shard.number for shard in shards if kept.get(shard.number) != shard.inputs]


def prepare_shard(ledger: Ledger, epoch: EpochNumber, number: int) -> None:
    """Verify one shard ahead; one that is done, or is none any more, is left."""
    shards = _shards(ledger, epoch)
    if number < len(shards):
        _part(ledger, shards[number])


def _shards(ledger: Ledger, epoch: EpochNumber) -> list[Shard]:
    with ledger.database.reading() as session:
        return shards_of(items.registration_uids(session, before=ledger.calendar.start(epoch)))


def _part(ledger: Ledger, shard: Shard) -> VerifiedRegistrations:
    with ledger.database.reading() as session:
        content = parts.find_part(session, KIND, shard.shards, shard.number, shard.inputs)
    if content is not None:
        return VerifiedRegistrations.from_parquet(content)
    files = ledger.evidence.get_all(ItemKind.REGISTRATION, shard.uids)
    made = VerifiedRegistrations.of_files(files, ledger.domain)
    with ledger.database.transaction() as session:
        parts.keep_part(session, KIND, shard.shards, shard.number, shard.inputs, made.to_parquet())
        faultpoint("prepare.before_commit")
    faultpoint("prepare.after_commit")
    return made
