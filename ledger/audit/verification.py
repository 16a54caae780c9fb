"""Proving an epoch without trusting whoever computed it.

Evidence is judged again, the result recomputed by the reference calculator, every consequence derived
from that, and each stored part held against it. Causes are checked before consequences, so the first
failed check is the one to look at.
"""

from collections import Counter
from collections.abc import Iterator, Mapping

from ledger.audit.calculator import Recomputation, recompute
from ledger.audit.comparison import (
    Difference,
    first_difference,
    first_difference_in_fields,
    first_difference_of_amounts,
    first_difference_of_documents,
    first_difference_of_rows,
    first_difference_of_totals,
    shown,
)
from ledger.audit.details.deriving import details_of
from ledger.audit.details.rows import Details
from ledger.audit.epoch_record import EpochRecord
from ledger.audit.outcome import Outcome, inheritance_of, outcome_of
from ledger.audit.report import Check, Report
from ledger.books.posting import Chain, link
from ledger.books.transfers import Transfer
from ledger.evidence.judging.acceptance import judge
from ledger.evidence.judging.frozen import Judgement
from ledger.model.errors import LedgerError
from ledger.model.header import EpochHeader
from ledger.model.units import Hash32
from ledger.tree.abi import EncodingError
from ledger.tree.commitments import header_hash, policy_hash, tables_hash

RULES_VERSION = "v1"
"""The rules the reference calculator was written from."""
_DETAIL_RULES = {"verdicts": "R3", "claims-credited": "R2.23", "hours-refused": "R2.10", "zone-hours": "R2.25"}


def verify_epoch(record: EpochRecord) -> Report:
    """Recompute an epoch from its evidence and compare every stored part with it; never raises for a mismatch.

    When evidence, tables or rules version do not even allow a recomputation, the report ends with the
    check that says so.
    """
    checks = list(_checks_of_inputs(record))
    inheritance = None
    if all(check.passed for check in checks if check.name in ("tables.hash", "rules.version")):
        try:
            judgement = judge(record.evidence)
            result = recompute(
                judgement.accepted, record.evidence.policy, record.evidence.tables, record.parent.opening
            )
            outcome = outcome_of(result, judgement, record.evidence, record.parent, record.seal)
        except LedgerError as error:
            found = Difference(where="recomputation", expected="a result", found=str(error))
            checks.append(Check(name="recomputation", rule="R0.4", difference=found))
        else:
            checks += _checks_of_details(record, result, judgement)
            checks += _checks_of_result(record, result, outcome)
            inheritance = inheritance_of(result, judgement, outcome, record.evidence.tables)
    return Report(
        epoch=record.evidence.epoch,
        checks=tuple(checks),
        is_anchored=record.on_chain_header_hash is not None,
        inheritance=inheritance,
    )


def _checks_of_inputs(record: EpochRecord) -> Iterator[Check]:
    """What can be said before anything is recomputed."""
    frozen, manifest, parent = record.evidence, record.manifest, record.parent
    tables = frozen.tables
    yield _same("policy.hash", "E4.1", "manifest · policy_hash", policy_hash(frozen.policy), manifest.policy_hash)
    violations = "; ".join(frozen.policy.violations())
    yield _same("policy.bounds", "R5.1", "policy · violations", "", violations)
    yield _same("tables.hash", "E4.3", "tables", frozen.policy.tables_hash, tables_hash(tables))
    steps = "" if parent.tables is None else "; ".join(tables.violations(parent.tables))
    yield _same("tables.step", "R5.5", "tables · steps too large", "", steps)
    yield _same("rules.version", "E5.5", "tables · rules_version", RULES_VERSION, tables.rules_version)
    yield _same("used-ranges.before", "R2.23", "used ranges before", parent.used_ranges_root, frozen.used.root())


def _checks_of_details(record: EpochRecord, result: Recomputation, judgement: Judgement) -> Iterator[Check]:
    """What explains the result and stands in no hash: each row of it, as far as it was told."""
    expected = details_of(judgement, result.hours_refused, result.zone_hours)
    if record.verdict_counts is not None:
        yield _check("verdicts", "R3", _first_count(expected, record.verdict_counts))
    if record.details is not None:
        for name, rule in _DETAIL_RULES.items():
            found = record.details.get(name, ())
            yield _check(f"detail.{name}", rule, first_difference_of_rows(name, expected[name], found))


def _checks_of_result(record: EpochRecord, result: Recomputation, outcome: Outcome) -> Iterator[Check]:
    manifest, expected = record.manifest, outcome.manifest
    for name, rule, field in (
        ("evidence.root", "E5.1", "evidence_root"),
        ("registrations.root", "E5.2", "registrations_root"),
        ("used-ranges.root", "E5.3", "used_ranges_root"),
    ):
        yield _same(name, rule, f"manifest · {field}", getattr(expected, field), getattr(manifest, field))
    yield _check("statements", "R4.23", first_difference(result.statements, record.statements))
    yield _check("totals", "R4.19", first_difference_of_totals(result.totals, record.totals))
    stated = manifest.statements_hash
    yield _same("statements.hash", "E5.4", "manifest · statements_hash", expected.statements_hash, stated)
    yield _check("claims.leaves", "E2.9", first_difference_of_amounts("leaf", outcome.leaves, record.leaves))
    yield _check("manifest", "E5.5", first_difference_in_fields("manifest", expected, manifest))
    yield from _checks_of_seal(record, outcome)
    yield _check("header", "E5.6", first_difference_in_fields("header", outcome.header, record.header))
    if record.on_chain_header_hash is not None:
        where = f"header of epoch {record.header.epoch} on chain"
        yield _same("header.on-chain", "E5.6", where, outcome.header_hash, record.on_chain_header_hash)
        yield _same("header.hash", "E5.6", "stored header", record.on_chain_header_hash, _hash_of(record.header))


def _checks_of_seal(record: EpochRecord, outcome: Outcome) -> Iterator[Check]:
    seal = record.seal
    yield _check("seal.transfers", "E6.5", _first_transfer(outcome.seal.transfers, seal.transfers))
    yield _check("seal.bytes", "E6.3", first_difference_of_documents("seal", outcome.seal_canonical, seal.canonical))
    yield _same("seal.hash", "E6.3", "seal · hash", link(Chain.SEAL, seal.previous_hash, seal.canonical), seal.hash)


def _first_count(details: Details, told: Mapping[tuple[str, str], int]) -> Difference | None:
    """The first scope and code that was not given as often as told."""
    given = Counter(("item" if each.record < 0 else "record", each.code) for each in details["verdicts"])
    given.update(("hour", each.code) for each in details["hours-refused"])
    for scope, code in sorted(given.keys() | told.keys()):
        expected, found = given[scope, code], told.get((scope, code), 0)
        if expected != found:
            where = f"verdicts · {scope} · {code or 'accepted'}"
            return Difference(where=where, expected=str(expected), found=str(found))
    return None


def _first_transfer(expected: tuple[Transfer, ...], found: tuple[Transfer, ...]) -> Difference | None:
    for number in range(max(len(expected), len(found))):
        wanted = expected[number].line.strip() if number < len(expected) else "absent"
        stored = found[number].line.strip() if number < len(found) else "absent"
        if wanted != stored:
            return Difference(where=f"seal · transfer {number}", expected=wanted, found=stored)
    return None


def _hash_of(header: EpochHeader) -> Hash32 | str:
    """The stored header's hash, or why it has none: a damaged header must fail its check, not the report."""
    try:
        return header_hash(header)
    except EncodingError as error:
        return error.what


def _same(name: str, rule: str, where: str, expected: object, found: object) -> Check:
    if expected == found:
        return _check(name, rule, None)
    return _check(name, rule, Difference(where=where, expected=shown(expected), found=shown(found)))


def _check(name: str, rule: str, difference: Difference | None) -> Check:
    return Check(name=name, rule=rule, difference=difference)
