"""Writing a bundle: each member's bytes, then the container around them."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, BinaryIO

import polars as pl

from ledger.audit.bundle.container import Member, write_zip
from ledger.audit.bundle.content import BATCH_FOLDER, BUNDLE_FORMAT, INDEX, EpochBundle, ParentProof
from ledger.audit.bundle.readme import BUNDLE_README
from ledger.audit.bundle.values import document_of, lines_of
from ledger.audit.seal_chain import ChainedEntry
from ledger.evidence.items.batch import SignedBatch
from ledger.evidence.items.json_values import to_json
from ledger.evidence.items.typed_data import Domain
from ledger.evidence.storage.batch_files import write_batch_json
from ledger.evidence.storage.item_files import write_registration, write_revocation
from ledger.model.allocation import NodeStatement
from ledger.model.errors import InvariantError
from ledger.model.units import Address, Hash32, to_hex
from ledger.tree.canonical import canonical_json
from ledger.tree.commitments import header_hash
from ledger.tree.exchange import dump_tree
from ledger.tree.parameters import policy_document, tables_document
from ledger.tree.payout import payout_tree


def write_bundle(bundle: EpochBundle, out: BinaryIO) -> int:
    """Write the bundle; the number of bytes. The same epoch gives the same bytes.

    Raises BundleTooLargeError, and whatever the batches' sources raise.
    """
    members = sorted(_members(bundle), key=lambda member: member.name)
    digests: dict[str, tuple[bytes, int]] = {}
    for member in members:
        content = member.content()
        digests[member.name] = (hashlib.sha256(content).digest(), len(content))
    header = bundle.record.header
    index = index_document(header.epoch, header_hash(header), digests)
    checked = (Member(member.name, partial(_unchanged, member, digests[member.name][0])) for member in members)
    return write_zip([Member(INDEX, lambda: index), *checked], out)


def index_document(epoch: int, hash_: Hash32, digests: Mapping[str, tuple[bytes, int]]) -> bytes:
    """What `index.json` says about the other members, given their SHA-256 and size in the file's order."""
    return canonical_json(
        {
            "format": BUNDLE_FORMAT,
            "epoch": epoch,
            "headerHash": to_hex(hash_),
            "members": [
                {"name": name, "sha256": digest.hex(), "size": size} for name, (digest, size) in digests.items()
            ],
        }
    )


def batch_lines(batch: SignedBatch, domain: Domain) -> Iterator[bytes]:
    """A batch as lines: the JSON batch without its records, then each record by its signed names."""
    schema = batch.header.schema
    if schema is None:
        raise InvariantError(f"batch {to_hex(batch.uid)} has a schema this ledger does not know, and was stored")
    records = batch.records()
    yield write_batch_json(replace(batch, source=lambda: pl.DataFrame(schema=records.schema)), domain)
    for row in records.iter_rows(named=True):
        yield canonical_json(to_json(schema.struct, row))


def tree_document(leaves: Iterable[tuple[Address, int]]) -> bytes:
    """The claim tree over these leaves, as the npm package dumps it."""
    pairs = list(leaves)
    return canonical_json(dump_tree(payout_tree([account for account, _ in pairs], [amount for _, amount in pairs])))


def _members(bundle: EpochBundle) -> Iterator[Member]:
    record, frozen, domain = bundle.record, bundle.record.evidence, bundle.identity.domain
    documents: dict[str, Any] = {
        "deployment.json": bundle.identity.document,
        "epoch.json": {
            "epoch": frozen.epoch,
            "rolesBlock": frozen.roles_block,
            "rolesBlockHash": to_hex(frozen.roles_block_hash),
        },
        "header.json": document_of(record.header),
        "manifest.json": document_of(record.manifest),
        "policy.json": policy_document(frozen.policy),
        "settlement.json": {
            name: None if at is None else document_of(at) for name, at in sorted(bundle.settled.items())
        },
        "totals.json": document_of(record.totals),
    }
    for name, document in documents.items():
        yield Member(name, partial(canonical_json, document))
    yield Member("README.md", partial(BUNDLE_README.encode, "utf-8"))
    yield Member("roles.json", frozen.roles.to_json)
    yield Member("tables.json", partial(tables_document, frozen.tables))
    yield Member("tree.json", partial(tree_document, record.leaves))
    yield Member("journal.ndjson", lambda: lines_of(map(_entry, bundle.entries)))
    for name, rows in (record.details or {}).items():
        yield Member(f"{name}.ndjson", partial(_documents, rows))
    statements = sorted(map(_typed, record.statements), key=lambda row: row.node_id)
    yield Member("statements.ndjson", lambda: lines_of(map(document_of, statements)))
    registrations = sorted(frozen.registrations, key=lambda item: (item.uid, item.signature))
    yield Member("registrations.ndjson", lambda: _ended(write_registration(signed, domain) for signed in registrations))
    revocations = sorted(frozen.revocations, key=lambda item: (item.uid, item.signature))
    yield Member("revocations.ndjson", lambda: _ended(write_revocation(signed, domain) for signed in revocations))
    for batch in frozen.batches:
        yield Member(f"{BATCH_FOLDER}{batch.uid.hex()}.ndjson", partial(_batch, batch, domain))
    if bundle.before is not None:
        yield from _parent_members(bundle, bundle.before)


def _parent_members(bundle: EpochBundle, before: ParentProof) -> Iterator[Member]:
    frozen, cumulative = bundle.record.evidence, bundle.record.parent.cumulative_wei
    seal = {
        "canonical": before.seal_canonical.decode("utf-8"),
        "number": before.seal_number,
        "previousHash": to_hex(before.seal_previous_hash),
    }
    documents: dict[str, Any] = {
        "header.json": document_of(before.header),
        "manifest.json": document_of(before.manifest),
        "policy.json": policy_document(before.policy),
        "seal.json": seal,
    }
    for name, document in documents.items():
        yield Member(f"before/{name}", partial(canonical_json, document))
    yield Member("before/tables.json", partial(tables_document, before.tables))
    yield Member("before/tree.json", partial(tree_document, sorted(cumulative.items())))
    yield Member("before/gpu-holders.ndjson", lambda: lines_of(map(_hexed, sorted(frozen.previous_holders.items()))))
    yield Member("before/used-ranges.ndjson", lambda: lines_of(map(_hexed, frozen.used.ranges.iter_rows())))
    yield Member("before/used-production.ndjson", lambda: lines_of(map(_hexed, frozen.used.production.iter_rows())))


def _batch(batch: SignedBatch, domain: Domain) -> bytes:
    return _ended(batch_lines(batch, domain))


def _ended(lines: Iterable[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def _hexed(row: Iterable[Any]) -> list[Any]:
    return [to_hex(value) if isinstance(value, bytes) else value for value in row]


def _typed(row: NodeStatement | Mapping[str, object]) -> NodeStatement:
    return row if isinstance(row, NodeStatement) else NodeStatement(**row)  # type: ignore[arg-type]


def _documents(rows: Iterable[Any]) -> bytes:
    return lines_of(map(document_of, rows))


def _entry(entry: ChainedEntry) -> dict[str, Any]:
    return {
        "canonical": entry.canonical.decode("utf-8"),
        "hash": to_hex(entry.hash),
        "previousHash": to_hex(entry.previous_hash),
        "transfers": [
            [each.debit, each.credit, each.asset.value, each.amount, each.code.value] for each in entry.transfers
        ],
    }


def _unchanged(member: Member, digest: bytes) -> bytes:
    content = member.content()
    if hashlib.sha256(content).digest() != digest:
        raise InvariantError(f"{member.name} changed while it was exported")
    return content
