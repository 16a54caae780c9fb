"""Admission answers at once what is certain, and leaves the rest to the judgement."""

import dataclasses
from typing import Any

from ledger.evidence.items.typed_data import Schema
from ledger.evidence.judging.admission import admit
from ledger.evidence.judging.roles import RoleBook


def code(world: Any, item: Any, now: int | None = None, **known: Any) -> str:
    refusal = admit(item, world.window.end if now is None else now, world.calendar, world.domain, **known)
    return "" if refusal is None else refusal.code


def test_an_honest_batch_is_admitted_until_the_cut_off(world: Any) -> None:
    batch = world.build(Schema.ENERGY, "meter", world.energy())
    assert code(world, batch) == ""
    assert code(world, batch, world.cut_off) == ""
    assert code(world, batch, world.cut_off + 1) == "batch.late"
    assert code(world, batch, world.window.end - 1) == "batch.early"


def test_a_bad_batch_is_answered_with_the_judgements_code(world: Any) -> None:
    row = world.energy()
    honest = world.build(Schema.ENERGY, "meter", row)
    foreign = world.frame(Schema.ENERGY, world.energy(pue_e4=1))
    cases = {
        "item.signature": world.forge(Schema.ENERGY, "meter", row, by="mallory"),
        "batch.count": world.forge(Schema.ENERGY, "meter", row, record_count=2),
        "batch.root": dataclasses.replace(honest, source=lambda: foreign),
        "batch.window": world.forge(Schema.ENERGY, "meter", row, window_start=world.start + 1),
        "batch.expired": world.forge(Schema.ENERGY, "meter", row, expires_at=world.cut_off - 1),
        "record.malformed": world.forge(Schema.ENERGY, "meter", world.energy(it_wh=b"")),
    }
    for expected, batch in cases.items():
        assert code(world, batch) == expected
        assert world.codes(world.judge(batch)) == [(-1, expected)]


def test_roles_are_asked_only_when_they_are_known(world: Any) -> None:
    batch = world.build(Schema.ENERGY, "mallory", world.energy())
    assert code(world, batch) == ""
    assert code(world, batch, roles=RoleBook(world.roles)) == "batch.role"


def test_what_depends_on_other_items_is_left_to_the_judgement(world: Any) -> None:
    late_in_chain = world.build(Schema.GRID, "grid", world.grid(), sequence=7, previous_batch=world.name32("?"))
    unknown_node = world.build(Schema.ENERGY, "meter", world.energy(node_id=world.name32("nobody")))
    assert code(world, late_in_chain) == code(world, unknown_node) == ""


def test_registrations_are_answered_for_signature_form_and_time(world: Any) -> None:
    assert code(world, world.registration("alice")) == ""
    assert code(world, world.registration("alice", by="mallory")) == "item.signature"
    assert code(world, world.registration("alice", gpu_ids=())) == "registration.malformed"
    assert code(world, world.registration("alice", valid_to=world.window.end)) == "registration.late"


def test_revocations_are_answered_against_the_batch_they_name(world: Any) -> None:
    batch = world.build(Schema.ENERGY, "meter", world.energy())
    other = world.build(Schema.GRID, "grid", world.grid())
    revocation = world.revoke(batch, "meter")
    assert code(world, revocation, revoked_batch=batch) == ""
    assert code(world, revocation) == "revocation.unknown-batch"
    assert code(world, revocation, revoked_batch=other) == "revocation.unknown-batch"
    assert code(world, world.revoke(batch, "grid"), revoked_batch=batch) == "revocation.not-verifier"
    assert code(world, world.revoke(batch, "meter", record=1), revoked_batch=batch) == "revocation.unknown-record"
    assert code(world, revocation, world.cut_off + 1, revoked_batch=batch) == "batch.late"
