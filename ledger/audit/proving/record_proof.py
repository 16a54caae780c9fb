"""Proof that one signed record was in an epoch's evidence: record → batch → evidence root → manifest → header.

It shows who said what and that the epoch was computed with it at hand; whether it counted, the verdicts say.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ledger.audit.bundle.members import member_of, read_with
from ledger.audit.bundle.values import bytes_of, document_of, record_of
from ledger.audit.proving.proof import ProofBrokenError, Proven, hash_of_header, header_in, require, siblings
from ledger.evidence.items.batch import SignedBatch
from ledger.evidence.items.json_values import from_json, to_json
from ledger.evidence.items.signing import check_signer
from ledger.evidence.items.typed_data import ATTESTATION_BATCH, Domain, Schema, schema_id, schema_titled
from ledger.model.header import EpochHeader, Manifest
from ledger.model.units import Address, EpochNumber, Hash32, to_hex
from ledger.tree.commitments import manifest_hash
from ledger.tree.keccak import checksum_address
from ledger.tree.standard import leaf_hash, verify_proof

RECORD_FORMAT: Final = "ath-ledger/proof/record/1"
RECORD_MEMBERS: Final = frozenset(
    {"format", "domain", "schema", "record", "recordSiblings", "batch", "signature", "evidenceSiblings", "manifest",
     "header"}
)  # fmt: skip


def record_proof(
    domain: Domain,
    batch: SignedBatch,
    schema: Schema,
    record: Mapping[str, Any],
    record_siblings: Sequence[Hash32],
    evidence_siblings: Sequence[Hash32],
    manifest: Manifest,
    header: EpochHeader,
) -> dict[str, Any]:
    """The document; `record` by column name, the siblings from the leaf up."""
    values = {member.column: getattr(batch.header, member.column) for member in ATTESTATION_BATCH.members}
    return {
        "format": RECORD_FORMAT,
        "domain": document_of(domain),
        "schema": schema.title,
        "record": to_json(schema.struct, record),
        "recordSiblings": [to_hex(each) for each in record_siblings],
        "batch": to_json(ATTESTATION_BATCH, values),
        "signature": to_hex(batch.signature),
        "evidenceSiblings": [to_hex(each) for each in evidence_siblings],
        "manifest": document_of(manifest),
        "header": document_of(header),
    }


def check_record(document: Mapping[str, Any]) -> Proven:
    """What it shows; ProofBrokenError at the first link that does not hold."""
    schema = schema_titled(str(member_of(document, "schema", "the proof")))
    if schema is None:
        raise ProofBrokenError("its schema does not exist")
    record = read_with("record", lambda: from_json(schema.struct, member_of(document, "record", "the proof")))
    batch = read_with("batch", lambda: from_json(ATTESTATION_BATCH, member_of(document, "batch", "the proof")))
    require(batch["schema_id"] == schema_id(schema), f"the batch is not of {schema.title} records")
    digest = read_with("record", lambda: schema.struct.struct_hash(record))
    inside = verify_proof(batch["records_root"], leaf_hash(digest), siblings(document, "recordSiblings"))
    require(inside, "the record is not in the batch")
    domain = record_of(Domain, member_of(document, "domain", "the proof"), "domain")
    uid = domain.digest(read_with("batch", lambda: ATTESTATION_BATCH.struct_hash(batch)))
    signature = bytes_of(member_of(document, "signature", "the proof"), 65, "signature")
    read_with("signature", lambda: check_signer(uid, signature, Address(batch["verifier"])))
    manifest = record_of(Manifest, member_of(document, "manifest", "the proof"), "manifest")
    held = verify_proof(manifest.evidence_root, leaf_hash(uid), siblings(document, "evidenceSiblings"))
    require(held, "the batch is not in the epoch's evidence")
    header = header_in(member_of(document, "header", "the proof"), "header")
    require(header.manifest_hash == manifest_hash(manifest), "the header commits to another manifest")
    require(header.epoch == manifest.epoch == batch["epoch"], "batch, manifest and header are of different epochs")
    return Proven(
        what=f"{schema.title} record in the evidence of epoch {header.epoch}",
        facts={
            "batch": to_hex(uid),
            "verifier": checksum_address(Address(batch["verifier"])),
            "chain_id": domain.chain_id,
            "contract": checksum_address(domain.verifying_contract),
        },
        epoch=EpochNumber(header.epoch),
        header_hash=hash_of_header(header),
    )
