"""Acceptance rules 1 to 5 and malformed records: what refuses a whole batch, and with which code."""

import dataclasses
from typing import Any

import polars as pl
import pytest

from ledger.evidence.items.batch import SignedBatch, build_batch
from ledger.evidence.items.records import Window
from ledger.evidence.items.typed_data import Domain, Schema
from ledger.evidence.judging.acceptance import judge
from ledger.model.errors import InvariantError
from ledger.model.refusals import ItemRefusedError
from ledger.model.units import ZERO_HASH
from ledger.tree.standard import root_of_digests

HOUR = 3600


def refuse_to_build(code: str, build: Any) -> None:
    with pytest.raises(ItemRefusedError) as refusal:
        build()
    assert refusal.value.code == code
    assert refusal.value.hint


def test_an_honest_batch_is_accepted_and_its_records_reach_the_rules(world: Any) -> None:
    batch = world.build(Schema.ENERGY, "meter", world.energy(), world.energy("bob"))
    judgement = world.judge(batch)
    assert world.codes(judgement) == [(-1, "")]
    assert judgement.accepted.energy.height == 2
    assert judgement.accepted.energy["verifier"].to_list() == [world.key("meter").address] * 2


def test_a_signature_by_another_key_refuses_the_batch_and_keeps_it_out_of_the_evidence_root(world: Any) -> None:
    batch = world.forge(Schema.ENERGY, "meter", world.energy(), by="mallory")
    judgement = world.judge(batch)
    assert world.code_of(judgement, batch.uid) == "item.signature"
    assert judgement.evidence_root == world.judge().evidence_root


def test_a_signature_for_another_domain_refuses_the_batch(world: Any) -> None:
    other = Domain(1, world.domain.verifying_contract)
    batch = world.build(Schema.ENERGY, "meter", world.energy())
    foreign = dataclasses.replace(batch, signature=world.key("meter").sign(batch.header.uid(other)))
    assert world.codes(world.judge(foreign)) == [(-1, "item.signature")]


def test_a_high_s_signature_refuses_the_batch(world: Any) -> None:
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    batch = world.build(Schema.ENERGY, "meter", world.energy())
    s = order - int.from_bytes(batch.signature[32:64], "big")
    twin = batch.signature[:32] + s.to_bytes(32, "big") + bytes([55 - batch.signature[64]])
    assert world.codes(world.judge(dataclasses.replace(batch, signature=twin))) == [(-1, "item.signature-high-s")]
    assert world.codes(world.judge(batch, dataclasses.replace(batch, signature=twin))) == [(-1, "")]


def test_a_signer_without_the_role_is_refused_but_stays_in_the_evidence_root(world: Any) -> None:
    batch = world.build(Schema.ENERGY, "checker 0", world.energy())
    judgement = world.judge(batch)
    assert world.code_of(judgement, batch.uid) == "batch.role"
    registrations = [signed.uid for signed in world.registrations]
    assert judgement.evidence_root == root_of_digests([*registrations, batch.uid])


def test_a_role_that_begins_or_ended_in_another_epoch_does_not_count(world: Any) -> None:
    batch = world.build(Schema.ENERGY, "meter", world.energy())
    others = [role for role in world.roles if role.verifier != world.key("meter").address]
    for changes, code in (
        ({"from_epoch": 3}, "batch.role"),
        ({"until_epoch": 1}, "batch.role"),
        ({"from_epoch": 2, "until_epoch": 2}, ""),
    ):
        world.roles = [*others, world.role(Schema.ENERGY, "meter", order=10, **changes)]
        assert world.codes(world.judge(batch)) == [(-1, code)]


def test_an_unknown_schema_is_refused_even_with_a_role_for_it(world: Any) -> None:
    unknown = world.name32("another schema")
    world.roles.append(world.role(Schema.GRID, "grid", schema_id=unknown, order=50))
    batch = world.forge(Schema.GRID, "grid", world.grid(), schema_id=unknown)
    assert world.codes(world.judge(batch)) == [(-1, "batch.schema")]


def test_an_empty_batch_is_refused(world: Any) -> None:
    batch = world.forge(Schema.GRID, "grid", records_root=ZERO_HASH)
    assert world.codes(world.judge(batch)) == [(-1, "batch.empty")]
    refuse_to_build("batch.empty", lambda: world.build(Schema.GRID, "grid"))


@pytest.mark.parametrize("count", [2, 65_537, 2**32 - 1])
def test_a_count_that_is_not_the_number_of_records_is_refused(world: Any, count: int) -> None:
    assert world.codes(world.judge(world.forge(Schema.GRID, "grid", world.grid(), record_count=count))) == [
        (-1, "batch.count")
    ]


def test_records_out_of_order_are_refused(world: Any) -> None:
    rows = sorted([world.grid(zone="NO"), world.grid(zone="ES")], key=lambda row: row["zone"], reverse=True)
    batch = world.forge(Schema.GRID, "grid", *rows, ordered=False)
    assert world.codes(world.judge(batch)) == [(-1, "batch.order")]


def test_two_records_with_one_key_are_refused(world: Any) -> None:
    rows = world.grid(), world.grid(flags=b"\1\1\1\1")
    assert world.codes(world.judge(world.forge(Schema.GRID, "grid", *rows))) == [(-1, "batch.duplicate-key")]
    refuse_to_build("batch.duplicate-key", lambda: world.build(Schema.GRID, "grid", *rows))


def test_records_that_are_not_the_signed_ones_are_refused(world: Any) -> None:
    batch = world.forge(Schema.GRID, "grid", world.grid(), records_root=world.name32("other records"))
    assert world.codes(world.judge(batch)) == [(-1, "batch.root")]


def test_a_signed_header_with_foreign_records_does_not_displace_the_true_ones(world: Any) -> None:
    true = world.build(Schema.GRID, "grid", world.grid())
    foreign = world.frame(Schema.GRID, world.grid(location_ef=bytes(16)))
    false = dataclasses.replace(true, source=lambda: foreign)
    for batches in ((true, false), (false, true)):
        judgement = world.judge(*batches)
        assert world.codes(judgement) == [(-1, "")]
        assert judgement.accepted.grid["location_ef"].to_list() == [world.grid()["location_ef"]]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"epoch": 1}, "batch.window"),
        ({"window_start": "start+1"}, "batch.window"),
        ({"window_start": "start-3600"}, "batch.window"),
        ({"window_end": "end+3600", "issued_at": "end+3600"}, "batch.window"),
        ({"window_end": "start"}, "batch.window"),
        ({"issued_at": "end-1"}, "batch.early"),
        ({"issued_at": "cut_off+1", "expires_at": "cut_off+9"}, "batch.late"),
        ({"expires_at": "cut_off-1"}, "batch.expired"),
        ({"issued_at": "cut_off"}, ""),
    ],
)
def test_times_outside_the_epochs_bounds_refuse_the_batch(world: Any, changes: dict[str, Any], code: str) -> None:
    names = {"start": world.window.start, "end": world.window.end, "cut_off": world.cut_off}
    header = {key: eval(value, names) if isinstance(value, str) else value for key, value in changes.items()}
    assert world.codes(world.judge(world.forge(Schema.GRID, "grid", world.grid(), **header))) == [(-1, code)]


def chain(world: Any, *, length: int = 3) -> list[SignedBatch]:
    """One zone a batch, each naming the one before."""
    batches: list[SignedBatch] = []
    for number, zone in zip(range(length), ["NO", "ES", "US-CAL-CISO"], strict=False):
        previous = batches[-1].uid if batches else ZERO_HASH
        batches.append(
            world.build(Schema.GRID, "grid", world.grid(zone=zone), sequence=number, previous_batch=previous)
        )
    return batches


def test_a_chain_counts_whole_in_whatever_order_it_arrives(world: Any) -> None:
    first, second, third = chain(world)
    for batches in ((first, second, third), (third, second, first), (second, third, first)):
        assert world.judge(*batches).accepted.grid.height == 3


def test_a_gap_refuses_what_follows_until_the_missing_batch_arrives(world: Any) -> None:
    first, second, third = chain(world)
    judgement = world.judge(first, third)
    assert world.code_of(judgement, third.uid) == "batch.gap"
    assert world.code_of(world.judge(first, third, second), third.uid) == ""
    assert [world.code_of(world.judge(second, third), batch.uid) for batch in (second, third)] == ["batch.gap"] * 2


def test_a_fork_voids_both_and_the_next_may_name_either(world: Any) -> None:
    first, second, third = chain(world)
    rival = world.build(
        Schema.GRID, "grid", world.grid(zone="ES", flags=b"\1" * 4), sequence=1, previous_batch=first.uid
    )
    named_rival = world.build(Schema.GRID, "grid", world.grid(zone="US-CAL-CISO"), sequence=2, previous_batch=rival.uid)
    for last in (third, named_rival):
        judgement = world.judge(first, second, rival, last)
        assert world.code_of(judgement, second.uid) == world.code_of(judgement, rival.uid) == "batch.fork"
        assert world.code_of(judgement, last.uid) == ""
        assert judgement.accepted.grid["zone"].to_list() == ["NO", "US-CAL-CISO"]


def test_a_batch_that_names_another_predecessor_is_refused_but_fills_its_place(world: Any) -> None:
    first, second, _ = chain(world)
    wrong = world.build(Schema.GRID, "grid", world.grid(zone="ES"), sequence=1, previous_batch=world.name32("?"))
    after = world.build(Schema.GRID, "grid", world.grid(zone="US-CAL-CISO"), sequence=2, previous_batch=wrong.uid)
    judgement = world.judge(first, wrong, after)
    assert world.code_of(judgement, wrong.uid) == "batch.previous"
    assert world.code_of(judgement, after.uid) == ""
    not_zero = world.build(Schema.GRID, "grid", world.grid(), previous_batch=world.name32("?"))
    assert world.codes(world.judge(not_zero)) == [(-1, "batch.previous")]
    assert second.uid != wrong.uid


@pytest.mark.parametrize("fault", ["early", "root", "revoked", "malformed"])
def test_a_refused_or_revoked_batch_still_fills_its_sequence(world: Any, fault: str) -> None:
    row = world.grid()
    match fault:
        case "early":
            first = world.forge(Schema.GRID, "grid", row, issued_at=world.window.end - 1)
        case "root":
            first = world.forge(Schema.GRID, "grid", row, records_root=world.name32("?"))
        case "malformed":
            first = world.forge(Schema.GRID, "grid", world.grid(flags=b""))
        case _:
            first = world.build(Schema.GRID, "grid", row)
            world.revocations = [world.revoke(first, "grid")]
    second = world.build(Schema.GRID, "grid", world.grid(zone="ES"), sequence=1, previous_batch=first.uid)
    judgement = world.judge(first, second)
    assert world.code_of(judgement, first.uid) != ""
    assert world.code_of(judgement, second.uid) == ""


def test_sequences_of_two_schemas_and_two_verifiers_do_not_meet(world: Any) -> None:
    world.roles.append(world.role(Schema.GRID, "meter", order=60))
    batches = [
        world.build(Schema.GRID, "meter", world.grid()),
        world.build(Schema.GRID, "grid", world.grid()),
        world.build(Schema.ENERGY, "meter", world.energy()),
    ]
    assert world.codes(world.judge(*batches)) == [(-1, "")] * 3


@pytest.mark.parametrize(
    ("schema", "changes"),
    [
        (Schema.UPTIME, {"up_mask": b"\0" * 31}),
        (Schema.UPTIME, {"seen_mask": b""}),
        (Schema.UPTIME, {"hours": 0, "up_mask": b"", "seen_mask": b""}),
        (Schema.UPTIME, {"hours": 169, "up_mask": bytes(8 * 169), "seen_mask": bytes(8 * 169)}),
        (Schema.UPTIME, {"hours": 5, "up_mask": bytes(40), "seen_mask": bytes(40)}),
        (Schema.UPTIME, {"window_start": 1}),
        (Schema.UPTIME, {"window_start": "before"}),
        (Schema.UPTIME, {"capacity_check": 3}),
        (Schema.ENERGY, {"meter_class": 4}),
        (Schema.ENERGY, {"it_wh": bytes(15)}),
        (Schema.ENERGY, {"zone": "N O"}),
        (Schema.GRID, {"flags": bytes(5)}),
    ],
)
def test_one_malformed_record_refuses_the_whole_batch(world: Any, schema: Schema, changes: dict[str, Any]) -> None:
    make, who, good = {
        Schema.UPTIME: (world.uptime, "checker 0", world.uptime("bob")),
        Schema.ENERGY: (world.energy, "meter", world.energy("bob")),
        Schema.GRID: (world.grid, "grid", world.grid(zone="ES")),
    }[schema]
    if changes.get("window_start") == "before":
        changes = {"window_start": world.start - HOUR}
    rows = make(**changes), good
    judgement = world.judge(world.forge(schema, who, *rows))
    assert world.codes(judgement) == [(-1, "record.malformed")]
    assert judgement.accepted.uptime.height + judgement.accepted.energy.height + judgement.accepted.grid.height == 0
    refuse_to_build("record.malformed", lambda: world.build(schema, who, *rows))


def test_values_that_cannot_even_be_hashed_are_malformed(world: Any) -> None:
    honest = world.build(Schema.ENERGY, "meter", world.energy())
    frame = world.frame(Schema.ENERGY, world.energy(gpu_count=2**40))
    assert world.codes(world.judge(dataclasses.replace(honest, source=lambda: frame))) == [(-1, "record.malformed")]


def test_a_sender_cannot_sign_a_window_of_half_hours_or_before_it_is_over(world: Any) -> None:
    half = Window(start=world.start, end=world.start + 1800)
    refuse_to_build("batch.window", lambda: world.build(Schema.GRID, "grid", world.grid(), window=half))
    refuse_to_build(
        "batch.early", lambda: world.build(Schema.GRID, "grid", world.grid(), issued_at=world.window.end - 1)
    )


def test_records_may_be_given_in_any_order_of_rows_and_columns(world: Any) -> None:
    rows = world.grid(zone="NO"), world.grid(zone="ES")
    frame = world.frame(Schema.GRID, *rows).select(pl.col("flags", "zone").name.keep(), pl.exclude("flags", "zone"))
    batch = build_batch(
        world.domain,
        world.key("grid"),
        Schema.GRID,
        frame,
        epoch=2,
        window=world.window,
        issued_at=world.window.end,
        expires_at=world.cut_off,
    )
    assert batch == world.build(Schema.GRID, "grid", *reversed(rows))
    assert world.codes(world.judge(batch)) == [(-1, "")]


def test_tables_that_the_policy_does_not_name_stop_the_judgement(world: Any) -> None:
    world.policy = dataclasses.replace(world.policy, tables_hash=world.name32("other tables"))
    with pytest.raises(InvariantError, match="tables"):
        judge(world.frozen())
