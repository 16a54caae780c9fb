"""What stands for a sealed epoch: its header and its claim tree, or its correction's where the root was superseded.

Read from where they are kept: a tree is mapped, not loaded, so that one operator's proof costs what it touches.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from ledger.db import corrections, epochs
from ledger.db.epochs import EpochStanding
from ledger.model.epoch import EpochState
from ledger.model.errors import InvariantError
from ledger.model.header import EpochHeader
from ledger.model.units import ZERO_HASH, EpochNumber, Hash32, from_hex, to_hex
from ledger.steps.kept.mapped_files import MappedFile
from ledger.steps.ledger import Ledger
from ledger.tree.commitments import header_hash
from ledger.tree.payout import payout_tree
from ledger.tree.standard import StandardTree


def header_of(session: Session, epoch: EpochNumber) -> EpochHeader:
    """The header of a sealed epoch."""
    return header_from_document(epochs.facts(session, epoch, EpochState.SEALED)["header"])


def standing_header(session: Session, epoch: EpochNumber) -> EpochHeader:
    """The header that stands for an epoch: its correction's, where its root was superseded, else its own."""
    correction = corrections.booked(session, epoch)
    return header_of(session, epoch) if correction is None else header_from_document(correction.header)


def parent_header_hash(session: Session, epoch: EpochNumber) -> Hash32:
    """The hash of the header that stands for the epoch before; zero for the first."""
    return ZERO_HASH if epoch == 0 else header_hash(standing_header(session, EpochNumber(epoch - 1)))


def header_document(header: EpochHeader) -> dict[str, object]:
    """A header as JSON values, hashes as 0x-hex."""
    values = {name: getattr(header, name) for name in EpochHeader.__dataclass_fields__}
    return {name: to_hex(value) if isinstance(value, bytes) else value for name, value in values.items()}


def header_from_document(document: Mapping[str, Any]) -> EpochHeader:
    """The header in a JSON document that this module wrote."""
    return EpochHeader(
        **{  # type: ignore[arg-type]
            name: Hash32(from_hex(value, 32)) if str(value).startswith("0x") else int(value)
            for name, value in document.items()
        }
    )


def tree_of(
    ledger: Ledger, session: Session, epoch: EpochNumber, *, standing: EpochStanding | None = None
) -> StandardTree:
    """The claim tree that stands for a sealed epoch: the corrected one, where its root was superseded.

    `standing` is the epoch's, where the caller has read it already. InvariantError when the tree does not have the root
    that the standing header names.
    """
    corrected = corrections.standing(session, epoch)
    if corrected is not None:
        # grown from its leaves, which takes seconds in a large network: once for each process
        return ledger.remembered.get(("corrected tree", corrected), lambda: _corrected_tree(session, epoch, corrected))
    standing = standing or epochs.current(session, epoch)
    # an epoch's version names one list of events, which never changes
    key = ("sealed tree", epoch, standing.version)
    sealed = ledger.remembered.get(key, lambda: _sealed_tree(ledger, session, standing))
    if not sealed.file.is_unchanged:
        ledger.remembered.forget(key)
        sealed = ledger.remembered.get(key, lambda: _sealed_tree(ledger, session, standing))
    return sealed.tree


@dataclass(frozen=True, slots=True)
class _SealedTree:
    file: MappedFile
    tree: StandardTree


def _sealed_tree(ledger: Ledger, session: Session, standing: EpochStanding) -> _SealedTree:
    file = ledger.artefacts.mapped(session, standing.epoch, standing.attempt, "tree")
    tree = StandardTree.from_bytes(file.view)
    return _SealedTree(file, _checked(tree, header_of(session, standing.epoch), standing.epoch))


def _corrected_tree(session: Session, epoch: EpochNumber, header_hash: Hash32) -> StandardTree:
    correction = corrections.find(session, header_hash)
    if correction is None:
        raise InvariantError(f"the correction of epoch {epoch} that its journal names is not kept")
    leaves = correction.leaves
    return _checked(payout_tree(list(leaves), list(leaves.values())), header_from_document(correction.header), epoch)


def _checked(tree: StandardTree, header: EpochHeader, epoch: EpochNumber) -> StandardTree:
    if tree.root != header.claim_root:
        raise InvariantError(f"the stored tree of epoch {epoch} has another root than its header")
    return tree
