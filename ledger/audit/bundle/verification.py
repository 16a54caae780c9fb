"""Checking a bundle: the epoch as `verify_epoch` does it, and what a bundle alone has to prove besides."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from ledger.audit.bundle.content import EpochBundle, ParentProof
from ledger.audit.comparison import Difference, first_difference_of_amounts, shown
from ledger.audit.corrections import corrected
from ledger.audit.epoch_record import EpochRecord, Inheritance
from ledger.audit.report import Check, Report
from ledger.audit.seal_chain import checks_of_chain
from ledger.audit.verification import verify_epoch
from ledger.books.posting import Chain, link
from ledger.books.verify import Head
from ledger.model.units import ZERO_HASH, Address, Hash32, Wei
from ledger.tree.abi import EncodingError
from ledger.tree.commitments import manifest_hash, policy_hash, tables_hash
from ledger.tree.payout import payout_tree


def verify_bundle(
    bundle: EpochBundle, left: Inheritance | None = None, on_chain_header_hash: Hash32 | None = None
) -> Report:
    """Recompute the bundle's epoch and compare everything in it; never raises for a mismatch.

    `left` is what the bundle of the epoch before was found to leave; without it, what this bundle says the epoch
    before left is taken as far as it follows from that epoch's header, and the rest of it believed.
    """
    checks = list(_checks_of_before(bundle))
    record = replace(bundle.record, on_chain_header_hash=on_chain_header_hash)
    if left is not None:
        checks += _checks_of_walk(bundle, left)
        frozen = replace(record.evidence, used=left.used, previous_holders=left.gpu_holders)
        record = replace(record, evidence=frozen, parent=left.parent)
    if bundle.before is not None:
        found = corrected(record.parent, bundle.before.header, bundle.entries, record.evidence.calendar)
        checks += found.checks
        record = replace(record, parent=found.parent)
    where = "header · parent_hash"
    checks.append(_same("inherited.header", "E5.6", where, record.parent.header_hash, record.header.parent_hash))
    report = verify_epoch(record)
    return replace(report, checks=(*checks, *_chain_checks(bundle), *report.checks))


def _checks_of_before(bundle: EpochBundle) -> Iterator[Check]:
    """The first epoch inherits nothing; a later one what its parent's header commits to."""
    record, before = bundle.record, bundle.before
    epoch = record.header.epoch
    yield _same("epoch", "E5.6", "epoch.json · epoch", epoch, record.evidence.epoch)
    yield _same("inherited.epoch", "E2.8", "before/ · epoch", epoch - 1, -1 if before is None else before.header.epoch)
    if before is not None:
        yield from _checks_of_parent(record, before)


def _checks_of_parent(record: EpochRecord, before: ParentProof) -> Iterator[Check]:
    header, parent = before.header, record.parent
    seal_hash = link(Chain.SEAL, before.seal_previous_hash, before.seal_canonical)
    claim_root = _hash_of(lambda: _root(parent.cumulative_wei))
    manifest = _hash_of(lambda: manifest_hash(before.manifest))
    policy = _hash_of(lambda: policy_hash(before.policy))
    yield _same("inherited.claims", "E2.9", "before/tree.json · root", header.claim_root, claim_root)
    yield _same("inherited.seal", "E6.3", "before/seal.json · hash", header.ledger_head, seal_hash)
    yield _same("inherited.manifest", "E5.5", "before/manifest.json · hash", header.manifest_hash, manifest)
    yield _same("inherited.policy", "E4.1", "before/policy.json · hash", header.policy_hash, policy)
    tables = tables_hash(before.tables)
    yield _same("inherited.tables", "E4.3", "before/tables.json · hash", before.policy.tables_hash, tables)


def _checks_of_walk(bundle: EpochBundle, left: Inheritance) -> Iterator[Check]:
    """What this bundle says the epoch before left, against what that epoch was found to leave."""
    stated, frozen = bundle.record.parent, bundle.record.evidence
    claims = first_difference_of_amounts(
        "leaf before", left.parent.cumulative_wei, tuple(stated.cumulative_wei.items())
    )
    yield Check(name="walked.claims", rule="E2.9", difference=claims)
    same_used = left.used.ranges.equals(frozen.used.ranges) and left.used.production.equals(frozen.used.production)
    yield _same("walked.used", "R2.23", "before/used-ranges.ndjson, before/used-production.ndjson", True, same_used)
    same_holders = dict(left.gpu_holders) == dict(frozen.previous_holders)
    yield _same("walked.gpu-holders", "R1.6", "before/gpu-holders.ndjson", True, same_holders)
    for name in ("opening", "tables", "used_ranges_root", "seal_hash", "header_hash"):
        yield _same(f"walked.{name}", "R5.7", f"before · {name}", getattr(left.parent, name), getattr(stated, name))


def _chain_checks(bundle: EpochBundle) -> Iterator[Check]:
    before = bundle.before
    head = Head() if before is None else Head(number=before.seal_number, hash=before.header.ledger_head)
    policy_before = ZERO_HASH if before is None else before.header.policy_hash
    record = bundle.record
    yield from checks_of_chain(bundle.entries, head, record.header.ledger_head, record.evidence, policy_before)


def _root(leaves: Mapping[Address, Wei]) -> Hash32:
    return payout_tree(list(leaves), list(leaves.values())).root


def _hash_of(make: Callable[[], Hash32]) -> Hash32 | str:
    """A hash, or why there is none: a number that does not fit must fail its check, not the report."""
    try:
        return make()
    except EncodingError as error:
        return error.what


def _same(name: str, rule: str, where: str, expected: object, found: object) -> Check:
    if expected == found:
        return Check(name=name, rule=rule, difference=None)
    return Check(name=name, rule=rule, difference=Difference(where=where, expected=shown(expected), found=shown(found)))
