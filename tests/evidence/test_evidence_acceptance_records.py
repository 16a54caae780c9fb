"""Acceptance rules 6 and 7 on records, registrations, and that order and moment of arrival change nothing."""

import random
from typing import Any

import polars as pl
import pytest

from ledger.evidence.items.revocation import Revocation, SignedRevocation
from ledger.evidence.items.typed_data import Schema
from ledger.evidence.judging.acceptance import judge
from ledger.evidence.judging.frozen import Judgement
from ledger.tree.standard import root_of_digests

HOUR = 3600
CHECKERS = ("checker 0", "checker 1", "checker 2")


def outcome(judgement: Judgement) -> list[Any]:
    """Everything a judgement says, comparable."""
    accepted = judgement.accepted
    frames = [accepted.nodes, accepted.uptime, accepted.energy, accepted.claims, accepted.grid, judgement.verdicts]
    return [
        [(frame.schema, frame.rows()) for frame in frames],
        judgement.evidence_root,
        judgement.registrations_root,
        judgement.used_after.to_parquet(),
        judgement.used_ranges_root,
        sorted(judgement.gpu_holders.items()),
    ]


def hours(world: Any, first: int, count: int, **changes: Any) -> dict[str, Any]:
    """Checker's record of some hours, all minutes up."""
    masks = {"up_mask": world.full_hour * count, "seen_mask": world.full_hour * count}
    return world.uptime(window_start=world.start + first * HOUR, hours=count, **{**masks, **changes})


def two_batches(world: Any, schema: Schema, who: str, first: dict[str, Any], second: dict[str, Any]) -> Judgement:
    one = world.build(schema, who, first)
    two = world.build(schema, who, second, sequence=1, previous_batch=one.uid)
    return world.judge(one, two)


def test_revoking_a_batch_takes_all_its_records_out(world: Any) -> None:
    batch = world.build(Schema.ENERGY, "meter", world.energy(), world.energy("bob"))
    world.revocations = [world.revoke(batch, "meter")]
    judgement = world.judge(batch)
    assert world.codes(judgement) == [(-1, "batch.revoked")]
    assert world.codes(judgement, "revocation") == [(-1, "")]
    assert judgement.accepted.energy.height == 0
    registrations = [signed.uid for signed in world.registrations]
    assert judgement.evidence_root == root_of_digests([*registrations, batch.uid, world.revocations[0].uid])


def test_revoking_one_record_takes_that_record_out(world: Any) -> None:
    batch = world.build(Schema.ENERGY, "meter", world.energy(), world.energy("bob"))
    world.revocations = [world.revoke(batch, "meter", record=1)]
    judgement = world.judge(batch)
    assert world.codes(judgement) == [(-1, ""), (1, "record.revoked")]
    assert judgement.accepted.energy["node_id"].to_list() == [batch.records()["node_id"][0]]


def test_a_revocation_by_anybody_else_moves_nothing(world: Any) -> None:
    batch = world.build(Schema.ENERGY, "meter", world.energy())
    world.revocations = [world.revoke(batch, "grid")]
    judgement = world.judge(batch)
    assert world.codes(judgement, "revocation") == [(-1, "revocation.not-verifier")]
    assert judgement.accepted.energy.height == 1
    world.revocations = []
    assert world.judge(batch).evidence_root == judgement.evidence_root


def test_a_revocation_of_nothing_is_refused(world: Any) -> None:
    batch = world.build(Schema.ENERGY, "meter", world.energy())
    world.revocations = [world.revoke(batch, "meter", record=1)]
    assert world.codes(world.judge(batch), "revocation") == [(-1, "revocation.unknown-record")]
    assert world.codes(world.judge(), "revocation") == [(-1, "revocation.unknown-batch")]


def test_a_malformed_signature_on_a_revocation_is_refused(world: Any) -> None:
    batch = world.build(Schema.ENERGY, "meter", world.energy())
    revocation = Revocation(batch_uid=batch.uid, record=0, reason=1, revoked_at=0)
    world.revocations = [SignedRevocation(uid=revocation.digest(world.domain), revocation=revocation, signature=b"")]
    assert world.codes(world.judge(batch), "revocation") == [(-1, "item.signature")]


@pytest.mark.parametrize(
    "changes", [{"up_mask": bytes(32)}, {"up_mask": bytes(32), "seen_mask": bytes(32)}, {"capacity_check": 2}]
)
def test_a_checker_that_says_two_things_about_one_hour_is_not_heard(world: Any, changes: dict[str, Any]) -> None:
    judgement = two_batches(world, Schema.UPTIME, "checker 0", world.uptime(), world.uptime(**changes))
    assert sorted(world.codes(judgement)) == [(-1, "")] * 2 + [(0, "record.equivocation")] * 2
    assert judgement.accepted.uptime.height == 0


def test_equivocation_in_one_shared_hour_voids_both_records_and_nothing_else(world: Any) -> None:
    different = hours(world, 3, 1, up_mask=bytes(8))
    judgement = two_batches(world, Schema.UPTIME, "checker 0", hours(world, 0, 4), different)
    assert judgement.accepted.uptime.height == 0
    one = world.build(Schema.UPTIME, "checker 0", hours(world, 0, 3), world.uptime("bob"))
    two = world.build(Schema.UPTIME, "checker 0", different, sequence=1, previous_batch=one.uid)
    assert world.judge(one, two).accepted.uptime.height == 3


def test_the_same_words_twice_count_once(world: Any) -> None:
    judgement = two_batches(world, Schema.UPTIME, "checker 0", world.uptime(), world.uptime())
    assert world.codes(judgement) == [(-1, "")] * 2
    assert judgement.accepted.uptime.height == 1


def test_an_hour_repeated_in_overlapping_records_reaches_the_rules_once(world: Any) -> None:
    mask = b"".join(bytes([0, 0, 0, 0, 0, 0, 0, hour + 1]) for hour in range(4))
    first = hours(world, 0, 3, up_mask=mask[:24])
    second = hours(world, 1, 3, up_mask=mask[8:])
    judgement = two_batches(world, Schema.UPTIME, "checker 0", first, second)
    assert world.codes(judgement) == [(-1, "")] * 2
    records = judgement.accepted.uptime
    assert records["hours"].to_list() == [3, 1]
    assert b"".join(records["up_mask"].to_list()) == mask
    assert records["window_start"].to_list() == [world.start, world.start + 3 * HOUR]


def test_a_verifier_may_take_back_the_wrong_one_of_two_statements(world: Any) -> None:
    one = world.build(Schema.UPTIME, "checker 0", world.uptime())
    two = world.build(Schema.UPTIME, "checker 0", world.uptime(up_mask=bytes(32)), sequence=1, previous_batch=one.uid)
    world.revocations = [world.revoke(two, "checker 0", record=0)]
    judgement = world.judge(one, two)
    assert judgement.accepted.uptime["up_mask"].to_list() == [world.full_hour * 4]


def test_two_checkers_that_differ_do_not_equivocate(world: Any) -> None:
    one = world.build(Schema.UPTIME, "checker 0", world.uptime())
    two = world.build(Schema.UPTIME, "checker 1", world.uptime(up_mask=bytes(32)))
    assert world.judge(one, two).accepted.uptime.height == 2


def test_equivocation_counts_for_meters_and_grid_signers_too(world: Any) -> None:
    energy = two_batches(world, Schema.ENERGY, "meter", world.energy(), world.energy(pue_e4=11000))
    grid = two_batches(world, Schema.GRID, "grid", world.grid(), world.grid(flags=b"\1" * 4))
    for judgement in (energy, grid):
        assert sorted(world.codes(judgement))[2:] == [(0, "record.equivocation")] * 2


@pytest.mark.parametrize("schema", [Schema.UPTIME, Schema.ENERGY, Schema.RENEWABLE])
def test_records_about_an_unregistered_node_are_refused_one_by_one(world: Any, schema: Schema) -> None:
    make, who = {
        Schema.UPTIME: (world.uptime, "checker 0"),
        Schema.ENERGY: (world.energy, "meter"),
        Schema.RENEWABLE: (world.claim, "registry"),
    }[schema]
    other = make(
        node_id=world.name32("nobody"), **({"range_start": 5000, "range_end": 5001} if make == world.claim else {})
    )
    judgement = world.judge(world.build(schema, who, make(), other))
    assert sorted(code for _, code in world.codes(judgement)) == ["", "node.unknown"]


def test_a_zone_outside_the_tables_is_refused(world: Any) -> None:
    judgement = world.judge(world.build(Schema.GRID, "grid", world.grid(), world.grid(zone="MOON")))
    assert sorted(code for _, code in world.codes(judgement)) == ["", "zone.unknown"]
    claims = world.build(Schema.RENEWABLE, "registry", world.claim(zone="MOON"))
    assert world.codes(world.judge(claims)) == [(-1, ""), (0, "zone.unknown")]


def test_an_energy_record_with_another_zone_or_gpu_count_is_left_to_the_rules(world: Any) -> None:
    batch = world.build(Schema.ENERGY, "meter", world.energy(zone="MOON", gpu_count=50))
    assert world.judge(batch).accepted.energy.height == 1


@pytest.mark.parametrize(
    ("up", "seen"), [(1, 0), (1 << 59, 1 << 58), (0, 1 << 60), (1 << 63, 1 << 63)], ids=["unseen", "59", "60", "63"]
)
def test_a_minute_up_but_unseen_or_beyond_the_hour_refuses_the_record(world: Any, up: int, seen: int) -> None:
    masks = {"up_mask": world.words(0, up, width=8), "seen_mask": world.words(0, seen, width=8), "hours": 2}
    batch = world.forge(Schema.UPTIME, "checker 0", world.uptime(**masks), world.uptime("bob"))
    codes = [code for _, code in world.codes(world.judge(batch))]
    assert sorted(codes) == ["", "uptime.mask"]


def test_impossible_factors_and_flags_refuse_the_record(world: Any) -> None:
    for changes in (
        {"location_ef": world.words(0, 0, 0, 2_000_001, width=4)},
        {"residual_ef": b"\xff" * 16},
        {"flags": b"\0\0\4\0"},
    ):
        batch = world.forge(Schema.GRID, "grid", world.grid(**changes))
        assert world.codes(world.judge(batch)) == [(-1, ""), (0, "grid.bounds")]


def test_only_the_votes_of_a_nodes_own_checkers_count(world: Any) -> None:
    world.roles += [world.role(Schema.UPTIME, f"checker {number}", order=100 + number) for number in range(3, 9)]
    batches = [world.build(Schema.UPTIME, f"checker {number}", world.uptime()) for number in range(9)]
    judgement = world.judge(*batches)
    assert [code for _, code in world.codes(judgement)].count("uptime.not-assigned") == 6
    assert judgement.accepted.uptime.height == world.policy.quorum_k


def registered(world: Any, *registrations: Any, **frozen: Any) -> Judgement:
    return judge(world.frozen(registrations=list(registrations), **frozen))


def codes_by_uid(judgement: Judgement) -> dict[bytes, str]:
    return dict(judgement.verdicts.select("item", "code").iter_rows())


def test_the_highest_sequence_counts(world: Any) -> None:
    old, new = world.registration("alice"), world.registration("alice", sequence=5, nameplate_w=3000)
    judgement = registered(world, new, old, old)
    assert codes_by_uid(judgement) == {old.uid: "registration.superseded", new.uid: ""}
    assert judgement.accepted.nodes["nameplate_w"].to_list() == [3000]
    assert judgement.registrations_root == root_of_digests([new.uid])
    assert judgement.evidence_root == root_of_digests([new.uid, old.uid])


def test_two_contents_at_one_sequence_void_both_and_the_one_below_counts(world: Any) -> None:
    old = world.registration("alice")
    twins = [world.registration("alice", sequence=1, nameplate_w=watts) for watts in (2000, 2001)]
    judgement = registered(world, old, *twins)
    assert codes_by_uid(judgement) == {old.uid: "", **dict.fromkeys((twin.uid for twin in twins), "registration.fork")}


def test_a_registration_counts_only_for_epochs_wholly_inside_its_validity(world: Any) -> None:
    start, end = world.window.start, world.window.end
    for valid_from, valid_to, code in (
        (start, end, ""),
        (start + 1, end, "registration.window"),
        (start, end - 1, "registration.window"),
    ):
        item = world.registration("alice", valid_from=valid_from, valid_to=valid_to)
        assert codes_by_uid(registered(world, item)) == {item.uid: code}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"zone": "MOON"}, "zone.unknown"),
        ({"model": "H9000"}, "model.unknown"),
        ({"gpu_ids": ()}, "registration.malformed"),
        ({"gpu_ids": (bytes(32), bytes(32))}, "registration.malformed"),
        ({"gpu_ids": tuple(bytes([number]) * 32 for number in range(73))}, "registration.malformed"),
        ({"nameplate_w": 6001}, "registration.malformed"),
        ({"nameplate_w": 0}, "registration.malformed"),
        ({"country": "no"}, "registration.malformed"),
        ({"valid_from": 2**40}, "registration.malformed"),
    ],
)
def test_a_registration_out_of_bounds_makes_no_node(world: Any, changes: dict[str, Any], code: str) -> None:
    item = world.registration("alice", **changes)
    judgement = registered(world, item)
    assert codes_by_uid(judgement) == {item.uid: code}
    assert judgement.accepted.nodes.height == 0


def test_a_registration_its_operator_did_not_sign_does_not_exist(world: Any) -> None:
    item = world.registration("alice", by="mallory")
    judgement = registered(world, item)
    assert codes_by_uid(judgement) == {item.uid: "item.signature"}
    assert judgement.evidence_root == bytes(32)
    genuine = world.registration("alice")
    assert codes_by_uid(registered(world, item, genuine)) == {genuine.uid: ""}


def test_a_gpu_counts_for_one_node_only(world: Any) -> None:
    gpus = (world.name32("shared"), world.name32("other"))
    early = world.registration("alice", gpu_ids=gpus, valid_from=10)
    late = world.registration("bob", gpu_ids=gpus[:1], valid_from=11)
    judgement = registered(world, late, early)
    assert codes_by_uid(judgement) == {early.uid: "", late.uid: "registration.gpu"}
    assert judgement.gpu_holders == dict.fromkeys(gpus, early.registration.node_id)


def test_the_node_that_held_a_gpu_before_keeps_it(world: Any) -> None:
    gpus = (world.name32("shared"),)
    early = world.registration("alice", gpu_ids=gpus, valid_from=10)
    holder = world.registration("bob", gpu_ids=gpus, valid_from=11)
    judgement = registered(world, early, holder, previous_holders={gpus[0]: holder.registration.node_id})
    assert codes_by_uid(judgement) == {early.uid: "registration.gpu", holder.uid: ""}


def test_equal_claims_to_a_gpu_go_to_the_lower_node_id(world: Any) -> None:
    gpus = (world.name32("shared"),)
    rivals = [world.registration(operator, gpu_ids=gpus) for operator in ("alice", "bob", "carol")]
    lowest = min(rivals, key=lambda item: item.registration.node_id)
    codes = codes_by_uid(registered(world, *rivals))
    assert [uid for uid, code in codes.items() if code == ""] == [lowest.uid]


def busy_world(world: Any) -> None:
    """Evidence with something wrong of nearly every kind."""
    chain = [world.build(Schema.UPTIME, "checker 0", hours(world, 0, 2), world.uptime("bob"))]
    for number, row in enumerate((hours(world, 1, 2), hours(world, 3, 1), hours(world, 3, 1, up_mask=bytes(8))), 1):
        chain.append(world.build(Schema.UPTIME, "checker 0", row, sequence=number, previous_batch=chain[-1].uid))
    grid = world.build(Schema.GRID, "grid", world.grid())
    claims = [
        world.claim(range_start=first, range_end=first + 700, consumption_hour=world.start, **changes)
        for first, changes in ((0, {}), (500, {}), (2000, {"source": 6}), (3000, {}))
    ]
    world.batches = [
        *chain,
        world.build(Schema.UPTIME, "checker 1", world.uptime(), world.uptime("bob")),
        world.build(Schema.ENERGY, "meter", world.energy(), world.energy("bob")),
        world.build(Schema.RENEWABLE, "registry", *claims),
        grid,
        world.build(Schema.GRID, "grid", world.grid(zone="ES")),
        world.build(Schema.GRID, "grid", world.grid(zone="ES"), sequence=3),
        world.forge(Schema.ENERGY, "meter", world.energy(it_wh=b""), sequence=1),
        world.forge(Schema.ENERGY, "bob", world.energy()),
    ]
    world.revocations = [world.revoke(world.batches[4], "checker 1", record=1), world.revoke(grid, "meter")]
    shared = (world.name32("shared"),)
    world.registrations += [
        world.registration("alice", "two", gpu_ids=shared),
        world.registration("bob", "two", gpu_ids=shared),
        world.registration("bob", sequence=1, zone="ES"),
    ]


def test_no_order_of_arrival_and_no_repetition_changes_a_byte(world: Any) -> None:
    busy_world(world)
    expected = outcome(judge(world.frozen()))
    codes = {code for _, code in world.codes(judge(world.frozen()))}
    assert {"", "record.equivocation", "batch.fork", "batch.gap", "certificate.source", "batch.role"} <= codes
    shuffle = random.Random(7)
    for _ in range(12):
        for items in (world.batches, world.revocations, world.registrations):
            shuffle.shuffle(items)
        again = world.frozen(
            batches=world.batches + shuffle.sample(world.batches, 3),
            revocations=world.revocations * 2,
            registrations=world.registrations + shuffle.sample(world.registrations, 2),
        )
        assert outcome(judge(again)) == expected


def test_every_item_has_exactly_one_verdict(world: Any) -> None:
    busy_world(world)
    verdicts = judge(world.frozen()).verdicts.filter(pl.col("record") == -1)
    items = [item.uid for item in (*world.batches, *world.revocations, *world.registrations)]
    assert sorted(verdicts["item"].to_list()) == sorted(items)
