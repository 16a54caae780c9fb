"""An epoch out of the workspace as the auditor's bundle."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from ledger.audit.bundle.content import EpochBundle, LedgerIdentity, ParentProof
from ledger.audit.bundle.writing import write_bundle
from ledger.db import epochs
from ledger.db import policies as policy_rows
from ledger.model.epoch import EpochState
from ledger.model.errors import RefusedError
from ledger.model.units import EpochNumber, Hash32, from_hex
from ledger.steps.auditing.chain import deployment_of
from ledger.steps.auditing.epochs import entries_of, epoch_record, require_sealed, seal_of
from ledger.steps.auditing.settlement import settled_at
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.sealed import header_of
from ledger.steps.transitions.seal import manifest_of


class OtherFileError(RefusedError):
    """A file of this name is there and holds something else."""

    code = "export.other-file"
    default_hint = "name another file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What a file now holds, and whether it was written just now."""

    size: int
    sha256: Hash32
    is_new: bool


def epoch_bundle(ledger: Ledger, session: Session, epoch: EpochNumber, deployment: Any) -> EpochBundle:
    """Everything about a sealed epoch; `deployment` is the workspace's deployment document."""
    entries, _ = entries_of(session, epoch)
    identity = LedgerIdentity.of(deployment, "deployment.json")
    return EpochBundle(
        identity=identity,
        record=epoch_record(ledger, session, epoch),
        entries=entries,
        settled=settled_at(ledger, session, epoch, deployment_of(identity)),
        before=None if epoch == 0 else _parent_proof(session, EpochNumber(epoch - 1)),
    )


def export_bundle(ledger: Ledger, epoch: EpochNumber, deployment: Any, out: Path) -> Exported:
    """Write an epoch's bundle whole or not at all; a file that is there already is compared, never overwritten.

    Raises NotSealedError, OtherFileError, MismatchError for damaged files, BundleTooLargeError.
    """
    require_sealed(ledger, epoch)
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        with ledger.database.reading() as session, draft.open("wb") as file:
            size = write_bundle(epoch_bundle(ledger, session, epoch, deployment), file)
            file.flush()
            os.fsync(file.fileno())
        digest = _sha256(draft)
        is_new = not out.exists()
        if is_new:
            draft.replace(out)
        elif _sha256(out) != digest:
            raise OtherFileError(f"{out} is there already and holds something else")
    finally:
        draft.unlink(missing_ok=True)
    return Exported(size=size, sha256=digest, is_new=is_new)


def _sha256(place: Path) -> Hash32:
    with place.open("rb") as file:
        return Hash32(hashlib.file_digest(file, "sha256").digest())


def _parent_proof(session: Session, epoch: EpochNumber) -> ParentProof:
    frozen = epochs.facts(session, epoch, EpochState.FROZEN)
    seal = seal_of(session, epoch)
    return ParentProof(
        header=header_of(session, epoch),
        manifest=manifest_of(session, epoch),
        policy=policy_rows.policy(session, int(frozen["policyVersion"])).policy,
        tables=policy_rows.tables(session, Hash32(from_hex(frozen["tablesHash"], 32))),
        seal_number=seal.number,
        seal_previous_hash=seal.previous_hash,
        seal_canonical=seal.canonical,
    )
