"""`verify_epoch` passes what production seals and names whatever was changed afterwards (invariant R5 of the books)."""

from collections.abc import Mapping
from dataclasses import fields, replace

import pytest

from ledger.audit.comparison import as_row
from ledger.audit.epoch_record import EpochRecord
from ledger.audit.report import VerificationFailedError
from ledger.audit.verification import verify_epoch
from ledger.books.posting import Chain, link
from ledger.model.allocation import NodeStatement, Totals
from ledger.model.header import EpochHeader, Manifest
from ledger.model.units import Hash32, Wei
from ledger.tree.commitments import header_hash, policy_hash


def flipped(value: object) -> object:
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case bytes():
            return bytes([value[0] ^ 1]) + value[1:]
        case str():
            return value + "?"
    raise AssertionError(value)


def failures(record: EpochRecord) -> list[str]:
    return [check.name for check in verify_epoch(record).failed]


def first_failure(record: EpochRecord) -> tuple[str, str]:
    check = verify_epoch(record).failed[0]
    assert check.difference is not None
    return check.name, check.difference.where


def rows_of(record: EpochRecord) -> list[NodeStatement]:
    return [row for row in record.statements if isinstance(row, NodeStatement)]


def test_a_production_epoch_verifies_from_its_signed_evidence(first_epoch: EpochRecord) -> None:
    """R6: signatures, acceptance, both calculators, trees, books and header agree on the worked example."""
    report = verify_epoch(first_epoch)
    assert report.failed == ()
    assert report.passed
    assert report.is_anchored
    report.require()
    assert first_epoch.totals.carbon_wei == 4872637928000000000
    assert sorted(row.pay_wei for row in rows_of(first_epoch)) == [
        79080577108913964665,
        94424553082237484005,
        721622231880848551330,
    ]


def test_an_epoch_after_others_verifies_with_what_they_left(later_epoch: EpochRecord) -> None:
    assert verify_epoch(later_epoch).failed == ()


def test_a_report_without_a_chain_says_so(first_epoch: EpochRecord) -> None:
    report = verify_epoch(replace(first_epoch, on_chain_header_hash=None))
    assert report.passed
    assert not report.is_anchored


def test_a_failed_report_raises_with_exit_code_4(first_epoch: EpochRecord) -> None:
    forged = replace(first_epoch, totals=replace(first_epoch.totals, carbon_wei=Wei(first_epoch.totals.carbon_wei - 1)))
    with pytest.raises(VerificationFailedError, match=r"totals \(R4.19\): totals of epoch 0 · carbon_wei: expected"):
        verify_epoch(forged).require()
    assert VerificationFailedError.exit_code == 4


@pytest.mark.parametrize("column", [field.name for field in fields(NodeStatement) if field.name != "node_id"])
def test_any_changed_statement_cell_is_found(first_epoch: EpochRecord, column: str) -> None:
    first, *others = rows_of(first_epoch)
    forged = replace(first, **{column: flipped(getattr(first, column))})
    name, where = first_failure(replace(first_epoch, statements=[*others, forged]))
    assert (name, where) == ("statements", f"node 0x{first.node_id.hex()} · {column}")


def test_a_cell_changed_in_a_stored_row_is_found(first_epoch: EpochRecord) -> None:
    """Rows of a stored file are mappings."""
    rows: list[Mapping[str, object]] = [as_row(row) for row in rows_of(first_epoch)]
    assert verify_epoch(replace(first_epoch, statements=rows)).passed
    rows[1] = {**rows[1], "u_ppm": 1}
    assert first_failure(replace(first_epoch, statements=rows))[0] == "statements"


@pytest.mark.parametrize("name", [field.name for field in fields(Totals)])
def test_any_changed_total_is_found(first_epoch: EpochRecord, name: str) -> None:
    forged = replace(first_epoch.totals, **{name: flipped(getattr(first_epoch.totals, name))})
    assert first_failure(replace(first_epoch, totals=forged)) == ("totals", f"totals of epoch 0 · {name}")


def test_one_wei_moved_between_operators_is_found(first_epoch: EpochRecord) -> None:
    (first, one), (second, other), *rest = first_epoch.leaves
    moved = ((first, Wei(one - 1)), (second, Wei(other + 1)), *rest)
    name, where = first_failure(replace(first_epoch, leaves=moved))
    assert (name, where) == ("claims.leaves", f"leaf of 0x{first.hex()}")


def test_a_forgotten_or_invented_leaf_is_found(later_epoch: EpochRecord) -> None:
    assert first_failure(replace(later_epoch, leaves=later_epoch.leaves[:-1]))[0] == "claims.leaves"
    invented = (*later_epoch.leaves, (bytes([0xFF] * 20), Wei(1)))
    assert first_failure(replace(later_epoch, leaves=invented))[0] == "claims.leaves"


def test_one_wei_moved_between_transfers_of_the_seal_is_found(first_epoch: EpochRecord) -> None:
    transfers = list(first_epoch.seal.transfers)
    transfers[-1] = transfers[-1]._replace(amount=transfers[-1].amount - 1)
    transfers[-2] = transfers[-2]._replace(amount=transfers[-2].amount + 1)
    forged = replace(first_epoch, seal=replace(first_epoch.seal, transfers=tuple(transfers)))
    assert first_failure(forged) == ("seal.transfers", f"seal · transfer {len(transfers) - 2}")


@pytest.mark.parametrize("name", ["k_eff_bps", "carbon_price_wei_per_tonne", "quorum_q", "count_nuclear"])
def test_another_policy_than_the_manifest_names_is_found(first_epoch: EpochRecord, name: str) -> None:
    policy = first_epoch.evidence.policy
    wrong = replace(policy, **{name: flipped(getattr(policy, name))})
    forged = replace(first_epoch, evidence=replace(first_epoch.evidence, policy=wrong))
    assert first_failure(forged) == ("policy.hash", "manifest · policy_hash")


def test_a_policy_that_breaks_its_bounds_is_found_even_where_all_hashes_agree(first_epoch: EpochRecord) -> None:
    wrong = replace(first_epoch.evidence.policy, reserve_bps=9999)
    manifest = replace(first_epoch.manifest, policy_hash=policy_hash(wrong))
    forged = replace(first_epoch, evidence=replace(first_epoch.evidence, policy=wrong), manifest=manifest)
    assert first_failure(forged)[0] == "policy.bounds"


def test_other_tables_than_the_policy_names_end_the_report(first_epoch: EpochRecord) -> None:
    tables = first_epoch.evidence.tables
    model = next(iter(tables.models))
    wrong = replace(tables, models={**tables.models, model: replace(tables.models[model], capacity_milli=1)})
    forged = replace(first_epoch, evidence=replace(first_epoch.evidence, tables=wrong))
    assert failures(forged) == ["tables.hash"]


def test_tables_that_jump_between_two_epochs_are_found(first_epoch: EpochRecord) -> None:
    """R5.5: only their hash is on chain, so no contract can see it."""
    tables = first_epoch.evidence.tables
    model, zone = (
        next(iter(tables.models)),
        next(name for name, zone in tables.zones.items() if zone.yearly_ef_mg_per_kwh),
    )
    figures, grid = tables.models[model], tables.zones[zone]
    assert grid.yearly_ef_mg_per_kwh is not None

    def before(*, capacity_milli: int, yearly: int) -> EpochRecord:
        models = {**tables.models, model: replace(figures, capacity_milli=capacity_milli)}
        zones = {**tables.zones, zone: replace(grid, yearly_ef_mg_per_kwh=yearly)}
        parent = replace(first_epoch.parent, tables=replace(tables, models=models, zones=zones))
        return replace(first_epoch, parent=parent)

    capacity, yearly = figures.capacity_milli, grid.yearly_ef_mg_per_kwh
    exactly = -(-capacity * 4 // 5)
    assert verify_epoch(before(capacity_milli=exactly, yearly=yearly)).passed
    for record in (
        before(capacity_milli=exactly - 1, yearly=yearly),
        before(capacity_milli=capacity, yearly=yearly // 2),
    ):
        name, where = first_failure(record)
        assert (name, where) == ("tables.step", "tables · steps too large")


@pytest.mark.parametrize("name", [field.name for field in fields(Manifest)])
def test_any_changed_member_of_the_manifest_is_found(later_epoch: EpochRecord, name: str) -> None:
    forged = replace(later_epoch.manifest, **{name: flipped(getattr(later_epoch.manifest, name))})
    report = verify_epoch(replace(later_epoch, manifest=forged))
    check = next(check for check in report.failed if check.name == "manifest")
    assert check.difference is not None
    assert check.difference.where == f"manifest · {name}"


@pytest.mark.parametrize(
    ("member", "check"),
    [
        ("evidence_root", "evidence.root"),
        ("registrations_root", "registrations.root"),
        ("used_ranges_root", "used-ranges.root"),
        ("statements_hash", "statements.hash"),
    ],
)
def test_a_changed_root_is_named_by_its_own_check(first_epoch: EpochRecord, member: str, check: str) -> None:
    forged = replace(first_epoch.manifest, **{member: Hash32(bytes(32))})
    assert first_failure(replace(first_epoch, manifest=forged))[0] == check


@pytest.mark.parametrize("name", [field.name for field in fields(EpochHeader)])
def test_any_changed_header_field_is_found(later_epoch: EpochRecord, name: str) -> None:
    forged = replace(later_epoch.header, **{name: flipped(getattr(later_epoch.header, name))})
    assert first_failure(replace(later_epoch, header=forged)) == ("header", f"header · {name}")
    assert failures(replace(later_epoch, header=forged)) == ["header", "header.hash"]


def test_a_header_that_cannot_be_hashed_is_a_failed_check_too(first_epoch: EpochRecord) -> None:
    forged = replace(first_epoch.header, payout=Wei(2**96))
    assert failures(replace(first_epoch, header=forged)) == ["header", "header.hash"]


def test_a_whole_ledger_forged_in_one_piece_is_found_on_chain(first_epoch: EpochRecord) -> None:
    """Everything local agrees; only the chain remembers another header."""
    other = header_hash(replace(first_epoch.header, carbon=Wei(1)))
    assert first_failure(replace(first_epoch, on_chain_header_hash=other))[0] == "header.on-chain"


def test_any_changed_byte_of_the_seal_is_found(first_epoch: EpochRecord) -> None:
    canonical = first_epoch.seal.canonical
    for at in range(0, len(canonical), 37):
        forged = canonical[:at] + bytes([canonical[at] ^ 1]) + canonical[at + 1 :]
        assert failures(replace(first_epoch, seal=replace(first_epoch.seal, canonical=forged))) == [
            "seal.bytes",
            "seal.hash",
        ]
        if at > 400:
            break


def test_a_seal_rewritten_with_its_hash_is_found_by_its_content(first_epoch: EpochRecord) -> None:
    """Bytes and hash fit each other again, but not the evidence; the report names the member."""
    before = f'"carbonWei":"{first_epoch.totals.carbon_wei}"'.encode()
    assert before in first_epoch.seal.canonical
    after = f'"carbonWei":"{first_epoch.totals.carbon_wei - 1}"'.encode()
    canonical = first_epoch.seal.canonical.replace(before, after)
    seal = replace(
        first_epoch.seal, canonical=canonical, hash=link(Chain.SEAL, first_epoch.seal.previous_hash, canonical)
    )
    assert first_failure(replace(first_epoch, seal=seal)) == ("seal.bytes", "seal · body.totals.carbonWei")


def test_a_seal_moved_in_its_chain_is_found(first_epoch: EpochRecord) -> None:
    assert "seal.bytes" in failures(replace(first_epoch, seal=replace(first_epoch.seal, number=3)))
    moved = replace(first_epoch.seal, previous_hash=Hash32(bytes(32)))
    assert "seal.hash" in failures(replace(first_epoch, seal=moved))


def test_a_dropped_batch_is_found(first_epoch: EpochRecord) -> None:
    frozen = first_epoch.evidence
    fewer = replace(first_epoch, evidence=replace(frozen, batches=frozen.batches[1:]))
    assert first_failure(fewer) == ("evidence.root", "manifest · evidence_root")


def test_a_forgotten_liability_of_the_parent_is_found(later_epoch: EpochRecord) -> None:
    opening = replace(later_epoch.parent.opening, carried_in_ug=0)
    forged = replace(later_epoch, parent=replace(later_epoch.parent, opening=opening))
    assert {"totals", "manifest", "header"} <= set(failures(forged))


def test_a_forgotten_used_register_is_found(first_epoch: EpochRecord) -> None:
    parent = replace(first_epoch.parent, used_ranges_root=Hash32(bytes([1] * 32)))
    assert first_failure(replace(first_epoch, parent=parent))[0] == "used-ranges.before"


def test_what_an_epoch_leaves_is_recomputed_not_read(first_epoch: EpochRecord) -> None:
    """R5.7: an auditor walks the epochs of a ledger with what it computed itself, whatever the record claims."""
    inheritance = verify_epoch(first_epoch).inheritance
    assert inheritance is not None
    assert inheritance.parent.header_hash == first_epoch.on_chain_header_hash
    assert inheritance.parent.seal_hash == first_epoch.seal.hash
    assert tuple(inheritance.parent.cumulative_wei.items()) == first_epoch.leaves
    assert inheritance.parent.used_ranges_root == first_epoch.manifest.used_ranges_root == inheritance.used.root()
    assert inheritance.parent.opening.carried_in_ug == first_epoch.totals.carried_out_ug
    forged = verify_epoch(replace(first_epoch, leaves=(), totals=replace(first_epoch.totals, carried_out_ug=9)))
    assert forged.inheritance is not None
    assert forged.inheritance.parent == inheritance.parent


def test_evidence_that_cannot_be_judged_is_a_failed_check_not_a_crash(first_epoch: EpochRecord) -> None:
    frozen = first_epoch.evidence
    tables = frozen.tables
    unknown = replace(first_epoch.manifest, policy_hash=policy_hash(frozen.policy))
    versioned = replace(frozen, tables=replace(tables, rules_version="v0"))
    report = verify_epoch(replace(first_epoch, evidence=versioned, manifest=unknown))
    assert [check.name for check in report.failed] == ["tables.hash", "rules.version"]
    assert report.inheritance is None
