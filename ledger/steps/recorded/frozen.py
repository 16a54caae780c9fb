"""The frozen evidence of an epoch, put together again from what its freeze recorded."""

import io
from collections.abc import Callable, Sequence

import polars as pl
from sqlalchemy.orm import Session

from ledger.db import epochs
from ledger.db import policies as policy_rows
from ledger.evidence.judging.frozen import FrozenEvidence
from ledger.evidence.judging.roles import RoleBook
from ledger.evidence.judging.used_ranges import UsedRegister
from ledger.evidence.storage.item_files import read_registration, read_revocation
from ledger.evidence.storage.store import ItemKind, stored_batch
from ledger.evidence.storage.verified_registrations import VerifiedRegistrations
from ledger.model.epoch import EpochState
from ledger.model.errors import MismatchError
from ledger.model.units import EpochNumber, Hash32, NodeId, from_hex, to_hex
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.frozen_set import frozen_set, left_out_of
from ledger.tree.standard import root_of_digests


def load_frozen(
    ledger: Ledger,
    session: Session,
    epoch: EpochNumber,
    *,
    used: UsedRegister | None = None,
    previous_holders: dict[Hash32, NodeId] | None = None,
    registrations: Callable[[Sequence[Hash32]], VerifiedRegistrations] | None = None,
) -> FrozenEvidence:
    """Everything that may shape the epoch. Records are read from the store when they are asked for.

    `used` and `previous_holders` are what the epoch before left; by default as it was recorded, given by an
    auditor who computed them. `registrations`: where to have them from; by default each is read from its signed file,
    and verified by acceptance. Raises MismatchError when the set is not the one that was frozen.
    """
    facts = epochs.facts(session, epoch, EpochState.FROZEN)
    attempt = epochs.current(session, epoch).attempt
    frozen = frozen_set(ledger, session, epoch, left_out_of(facts), last_arrival=int(facts["lastArrival"]))
    root = to_hex(root_of_digests(item.uid for item in frozen))
    if root != facts["itemsRoot"]:
        raise MismatchError(f"the items of epoch {epoch} have root {root}, frozen was {facts['itemsRoot']}")
    uids: dict[ItemKind, list[Hash32]] = {kind: [] for kind in ItemKind}
    for item in frozen:
        uids[ItemKind(item.kind)].append(Hash32(item.uid))
    store, domain = ledger.evidence, ledger.domain
    verified = (registrations or (lambda uids: _read(ledger, uids)))(uids[ItemKind.REGISTRATION])
    return FrozenEvidence(
        epoch=epoch,
        calendar=ledger.calendar,
        domain=domain,
        roles=RoleBook.from_json(ledger.artefacts.read(session, epoch, attempt, "roles")),
        roles_block=int(facts["rolesBlock"]),
        roles_block_hash=Hash32(from_hex(facts["rolesBlockHash"], 32)),
        policy=policy_rows.policy(session, int(facts["policyVersion"])).policy,
        tables=policy_rows.tables(session, Hash32(from_hex(facts["tablesHash"], 32))),
        registrations=verified.items,
        signed=verified.signed,
        batches=[stored_batch(store, uid, domain) for uid in uids[ItemKind.BATCH]],
        revocations=[read_revocation(store.get(ItemKind.REVOCATION, uid), domain) for uid in uids[ItemKind.REVOCATION]],
        previous_holders=_holders_before(ledger, session, epoch) if previous_holders is None else previous_holders,
        used=_used_before(ledger, session, epoch) if used is None else used,
    )


def _read(ledger: Ledger, uids: Sequence[Hash32]) -> VerifiedRegistrations:
    """Registrations out of their files; nothing about them is verified."""
    files = ledger.evidence.get_all(ItemKind.REGISTRATION, uids)
    return VerifiedRegistrations(
        items=tuple(read_registration(content, ledger.domain) for content in files), signed=frozenset()
    )


def _used_before(ledger: Ledger, session: Session, epoch: EpochNumber) -> UsedRegister:
    if epoch == 0:
        return UsedRegister.empty()
    return UsedRegister.from_parquet(_artefact_before(ledger, session, epoch, "used-ranges"))


def _holders_before(ledger: Ledger, session: Session, epoch: EpochNumber) -> dict[Hash32, NodeId]:
    if epoch == 0:
        return {}
    frame = pl.read_parquet(io.BytesIO(_artefact_before(ledger, session, epoch, "gpu-holders")))
    return {Hash32(gpu): NodeId(node) for gpu, node in frame.select("gpu_id", "node_id").iter_rows()}


def _artefact_before(ledger: Ledger, session: Session, epoch: EpochNumber, kind: str) -> bytes:
    before = EpochNumber(epoch - 1)
    return ledger.artefacts.read(session, before, epochs.current(session, before).attempt, kind)
