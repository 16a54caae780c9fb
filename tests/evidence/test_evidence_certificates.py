"""Acceptance rule 9: which certificates are credited, with how many Wh, and never twice."""

import dataclasses
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.evidence.items.typed_data import Schema
from ledger.evidence.judging.frozen import Judgement
from ledger.evidence.judging.single_use import split_ranges
from ledger.evidence.judging.used_ranges import (
    PRODUCTION_COLUMNS,
    RANGE_COLUMNS,
    UsedRegister,
    UsedRegisterError,
)
from ledger.model.refusals import ItemRefusedError
from ledger.model.units import ZERO_HASH

HOUR = 3600
DAY = 24 * HOUR


def judged(world: Any, *claims: dict[str, Any]) -> Judgement:
    return world.judge(world.forge(Schema.RENEWABLE, "registry", *claims))  # type: ignore[no-any-return]


def codes(world: Any, *claims: dict[str, Any]) -> list[str]:
    """Codes of the refused or partly credited records."""
    return [code for record, code in world.codes(judged(world, *claims)) if record >= 0]


def credited(judgement: Judgement) -> list[int]:
    return judgement.accepted.claims["credited_wh"].to_list()


def tier2(world: Any, **changes: Any) -> dict[str, Any]:
    """A volumetric claim: a month of production, another zone of the same market."""
    values = {
        "tier": 2,
        "zone": "ES",
        "production_start": world.start - 30 * DAY,
        "production_end": world.start - DAY,
        **changes,
    }
    return world.claim(**values)  # type: ignore[no-any-return]


def test_a_sound_claim_is_credited_whole_and_used_up(world: Any) -> None:
    judgement = judged(world, world.claim())
    assert credited(judgement) == [1000]
    assert judgement.used_after.ranges.select("range_start", "range_end").rows() == [(0, 999)]
    assert judgement.used_after.production["wh"].to_list() == [1000]
    assert judgement.used_ranges_root == judgement.used_after.root() != ZERO_HASH


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"registry_id": bytes(32)}, "certificate.registry"),
        ({"source": 0}, "certificate.source"),
        ({"source": 6}, "certificate.source"),
        ({"source": 7}, "certificate.source"),
        ({"source": 9}, "certificate.source"),
        ({"tier": 0}, "certificate.tier"),
        ({"tier": 3}, "certificate.tier"),
        ({"zone": "ES"}, "certificate.zone"),
        ({"beneficiary": bytes(20)}, "certificate.beneficiary"),
        ({"cancelled_at": 0}, "certificate.not-cancelled"),
        ({"cancellation_ref": bytes(32)}, "certificate.not-cancelled"),
        ({"range_end": -1 + 0, "range_start": 1}, None),
        ({"range_start": 10, "range_end": 9}, "certificate.bounds"),
        ({"range_end": 10**12}, "certificate.bounds"),
        ({"range_start": 2**63 - 2, "range_end": 2**63 - 1}, "certificate.bounds"),
        ({"device_capacity_w": 0}, "certificate.bounds"),
        ({"device_capacity_w": 10**11 + 1}, "certificate.bounds"),
        ({"device_capacity_w": 10}, "certificate.capacity"),
    ],
)
def test_a_claim_that_breaks_a_rule_by_itself_is_refused(world: Any, changes: dict[str, Any], code: str | None) -> None:
    if code is None:
        with pytest.raises(ItemRefusedError, match="rangeEnd"):
            judged(world, world.claim(**changes))
        return
    judgement = judged(world, world.claim(**changes))
    assert world.codes(judgement) == [(-1, ""), (0, code)]
    assert credited(judgement) == []
    assert judgement.used_after.ranges.height == 0


def test_times_that_end_before_they_begin_are_out_of_bounds(world: Any) -> None:
    assert codes(world, world.claim(production_end=world.start)) == ["certificate.bounds"]


@pytest.mark.parametrize(
    ("start", "length", "hour", "code"),
    [
        (0, HOUR, 0, ""),
        (900, 900, 0, ""),
        (HOUR, HOUR, 0, "certificate.hour"),
        (0, HOUR + 1, 0, "certificate.hour"),
        (-1, HOUR, 0, "certificate.hour"),
        (0, HOUR, 1, "certificate.hour"),
        (0, HOUR, -HOUR, "certificate.hour"),
        (4 * HOUR, HOUR, 4 * HOUR, "certificate.hour"),
        (3 * HOUR, HOUR, 3 * HOUR, ""),
    ],
)
def test_tier_1_is_produced_in_the_hour_it_is_consumed(
    world: Any, start: int, length: int, hour: int, code: str
) -> None:
    claim = world.claim(
        production_start=world.start + start,
        production_end=world.start + start + length,
        consumption_hour=world.start + hour,
        cancelled_at=world.window.end + DAY - 1,
    )
    assert codes(world, claim) == ([code] if code else [])


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(-183 * DAY, ""), (-183 * DAY - 1, "certificate.window"), (-200 * DAY, "certificate.window"), (HOUR, "")],
)
def test_tier_2_is_produced_within_183_days(world: Any, seconds: int, code: str) -> None:
    start = world.start + seconds
    claim = tier2(world, production_start=start, production_end=start + HOUR)
    assert codes(world, claim) == ([code] if code else [])


def test_tier_2_comes_from_the_same_market_and_is_not_downgraded_from_tier_1(world: Any) -> None:
    assert codes(world, tier2(world)) == []
    assert codes(world, tier2(world, zone="US-CAL-CISO")) == ["certificate.zone"]
    assert codes(world, tier2(world, tier=1)) == ["certificate.hour"]


def test_cancellation_is_before_the_cut_off_and_after_production(world: Any) -> None:
    assert codes(world, world.claim(cancelled_at=world.cut_off - 1)) == []
    assert codes(world, world.claim(cancelled_at=world.cut_off)) == ["certificate.cancelled-late"]
    assert codes(world, world.claim(cancelled_at=world.start + HOUR - 1)) == ["certificate.not-cancelled"]


def test_nuclear_counts_when_the_policy_says_so(world: Any) -> None:
    world.policy = dataclasses.replace(world.policy, count_nuclear=True)
    assert credited(judged(world, world.claim(source=6))) == [1000]


def test_a_verifier_that_belongs_to_the_operator_cannot_claim_for_it(world: Any) -> None:
    alice = world.key("alice").address
    world.roles = [role for role in world.roles if role.verifier != world.key("registry").address]
    world.roles.append(
        world.role(Schema.RENEWABLE, "registry", order=70, registry_ids=(world.registry,), affiliation=alice)
    )
    bobs = world.claim("bob", range_start=5000, range_end=5999)
    assert codes(world, world.claim(), bobs) == ["certificate.affiliated"]


def test_a_wh_claimed_twice_is_credited_to_nobody_and_not_used_up(world: Any) -> None:
    judgement = judged(world, world.claim(), world.claim("bob"))
    assert world.codes(judgement) == [(-1, ""), (0, "certificate.collision"), (1, "certificate.collision")]
    assert judgement.used_after.ranges.height == 0
    assert judgement.used_after.production.height == 0


def test_only_the_overlap_of_two_claims_is_lost(world: Any) -> None:
    judgement = judged(world, world.claim(), world.claim("bob", range_start=400, range_end=1499))
    assert credited(judgement) == [400, 500]
    assert judgement.used_after.ranges.select("range_start", "range_end").rows() == [(0, 399), (1000, 1499)]
    details = [row for row in judgement.verdicts["detail"].to_list() if "claimed twice" in row]
    assert details == [
        "400 Wh credited, 0 Wh used earlier, 600 Wh claimed twice",
        "500 Wh credited, 0 Wh used earlier, 600 Wh claimed twice",
    ]


def test_a_claim_refused_for_another_reason_collides_with_nothing(world: Any) -> None:
    rival = world.claim("bob", source=8)
    assert credited(judged(world, world.claim(), rival)) == [1000]


def test_a_claim_repeated_word_for_word_counts_once(world: Any) -> None:
    first = world.build(Schema.RENEWABLE, "registry", world.claim())
    second = world.build(Schema.RENEWABLE, "registry", world.claim(), sequence=1, previous_batch=first.uid)
    judgement = world.judge(first, second)
    assert credited(judgement) == [1000]
    assert {code for _, code in world.codes(judgement)} == {""}


def test_the_same_ids_of_another_issuance_are_other_certificates(world: Any) -> None:
    other = world.claim("bob", issuance_id=world.name32("other"))
    assert credited(judged(world, world.claim(), other)) == [1000, 1000]


def test_what_an_earlier_epoch_credited_is_refused(world: Any) -> None:
    world.used = judged(world, world.claim()).used_after
    assert codes(world, world.claim("bob")) == ["certificate.used"]
    judgement = judged(world, world.claim("bob", range_start=900, range_end=1099))
    assert credited(judgement) == [100]
    assert judgement.used_after.ranges.select("range_start", "range_end").rows() == [(0, 1099)]


def test_a_used_range_stays_used_when_its_batch_is_revoked_later(world: Any) -> None:
    world.used = judged(world, world.claim()).used_after
    judgement = world.judge()
    assert judgement.used_after.to_parquet() == world.used.to_parquet()
    assert judgement.used_ranges_root == world.used.root()


@pytest.mark.parametrize(("capacity_w", "code"), [(909, "certificate.capacity"), (910, "")])
def test_a_device_produces_at_most_a_tenth_more_than_its_capacity(world: Any, capacity_w: int, code: str) -> None:
    assert codes(world, world.claim(device_capacity_w=capacity_w)) == ([code] if code else [])


def test_overlapping_production_counts_together_over_registries(world: Any) -> None:
    second = world.name32("registry two")
    role = world.role(Schema.RENEWABLE, "registry", order=80, registry_ids=(world.registry, second))
    world.roles = [held for held in world.roles if held.verifier != world.key("registry").address] + [role]
    claims = [world.claim(device_capacity_w=1000), world.claim(device_capacity_w=1000, registry_id=second)]
    assert codes(world, *claims) == ["certificate.capacity"] * 2
    assert codes(world, claims[0], {**claims[1], "device_id": world.name32("another")}) == []


def test_an_interval_that_only_touches_lends_no_time(world: Any) -> None:
    much = world.claim(range_end=1999, device_capacity_w=1000)
    little_later = world.claim(
        range_start=5000,
        range_end=5009,
        production_start=world.start + HOUR,
        production_end=world.start + 2 * HOUR,
        consumption_hour=world.start + HOUR,
        device_capacity_w=1000,
    )
    judgement = judged(world, much, little_later)
    assert world.codes(judgement) == [(-1, ""), (0, "certificate.capacity")]
    assert credited(judgement) == [10]


def test_intervals_that_overlap_through_a_third_count_together(world: Any) -> None:
    def volumetric(first: int, start: int, wh: int) -> dict[str, Any]:
        begin = world.start - 10 * DAY + start
        return tier2(
            world,
            range_start=first,
            range_end=first + wh - 1,
            production_start=begin,
            production_end=begin + 2 * HOUR,
            device_capacity_w=1000,
        )

    claims = [volumetric(0, 0, 2000), volumetric(10_000, 90 * 60, 2000), volumetric(20_000, 3 * HOUR, 2000)]
    assert codes(world, *claims) == ["certificate.capacity"] * 3
    assert codes(world, claims[0], claims[2]) == []


def test_what_a_device_produced_for_earlier_epochs_counts_too(world: Any) -> None:
    world.used = judged(world, world.claim(device_capacity_w=1000)).used_after
    more = world.claim("bob", range_start=5000, range_end=5200, device_capacity_w=1000)
    assert codes(world, more) == ["certificate.capacity"]
    little = world.claim("bob", range_start=5000, range_end=5099, device_capacity_w=1000)
    assert codes(world, little) == []


def test_of_two_stated_capacities_the_smaller_counts(world: Any) -> None:
    claims = (
        world.claim(device_capacity_w=10**9),
        world.claim("bob", range_start=5000, range_end=5999, device_capacity_w=1000),
    )
    assert codes(world, *claims) == ["certificate.capacity"] * 2


def test_capacity_is_judged_beyond_64_bits(world: Any) -> None:
    claim = tier2(world, range_end=10**12 - 1, device_capacity_w=10**11)
    assert codes(world, claim) == []
    assert 11 * 10**11 * 29 * DAY > 2**61
    small = tier2(world, range_end=10**12 - 1, device_capacity_w=10**5)
    assert codes(world, small) == ["certificate.capacity"]


def test_a_wh_claimed_twice_is_produced_once(world: Any) -> None:
    claims = world.claim(device_capacity_w=1000), world.claim("bob", device_capacity_w=1000)
    assert codes(world, *claims) == ["certificate.collision"] * 2


_RANGE = st.tuples(st.integers(0, 1), st.integers(0, 25), st.integers(0, 8), st.integers(0, 1))


@settings(max_examples=150, deadline=None)
@given(claims=st.lists(_RANGE, max_size=7), used=st.lists(_RANGE, max_size=4))
def test_splitting_ranges_agrees_with_counting_single_wh(claims: list[Any], used: list[Any]) -> None:
    def ids(row: Any) -> set[tuple[int, int]]:
        return {(row[0], wh) for wh in range(row[1], row[1] + row[2] + 1)}

    rows = [(bytes([registry]) * 32, bytes(32), first, first + more, apart) for registry, first, more, apart in claims]
    frame = pl.DataFrame(rows, schema={**RANGE_COLUMNS, "apart": pl.Int64}, orient="row")
    old_rows = [(bytes([registry]) * 32, bytes(32), first, first + more) for registry, first, more, _ in used]
    register = UsedRegister.empty().after(
        pl.DataFrame(old_rows, schema=RANGE_COLUMNS, orient="row"), pl.DataFrame(schema=PRODUCTION_COLUMNS)
    )
    old = set().union(*map(ids, used)) if used else set()
    split = split_ranges(frame, register.ranges)
    for number, claim in enumerate(claims):
        others = set().union(*(ids(other) for at, other in enumerate(claims) if at != number))
        assert split.used_wh[number] == len(ids(claim) & old)
        assert split.collided_wh[number] == len((ids(claim) & others) - old)
        assert split.fresh_wh[number] == len(ids(claim) - others - old)
    assert (split.fresh_ranges["range_end"] - split.fresh_ranges["range_start"] + 1).sum() == split.fresh_wh.sum()
    by_group = split_ranges(frame, register.ranges, "apart").claimed_once_wh.tolist()
    for group, wh in enumerate(by_group):
        assert wh == len(set().union(*(ids(claim) for claim in claims if claim[3] == group)) - old)
    assert sum(wh for wh in by_group) > 0 or not any(ids(claim) - old for claim in claims)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(_RANGE, max_size=4), max_size=4), st.randoms())
def test_the_register_depends_only_on_what_was_used(epochs: list[list[Any]], shuffle: Any) -> None:
    def after(batches: list[list[Any]]) -> UsedRegister:
        register = UsedRegister.empty()
        for claims in batches:
            rows = [(bytes([registry]) * 32, bytes(32), first, first + more) for registry, first, more, _ in claims]
            ranges = pl.DataFrame(rows, schema=RANGE_COLUMNS, orient="row")
            register = register.after(ranges, pl.DataFrame(schema=PRODUCTION_COLUMNS))
        return register

    register = after(epochs)
    shuffled = [claim for claims in epochs for claim in claims]
    shuffle.shuffle(shuffled)
    assert after([shuffled]).ranges.rows() == register.ranges.rows()
    assert UsedRegister.from_parquet(register.to_parquet()).to_parquet() == register.to_parquet()
    assert after([shuffled]).root() == register.root()


def test_a_file_that_is_no_register_is_refused(world: Any) -> None:
    with pytest.raises(ItemRefusedError):
        UsedRegister.from_parquet(b"PAR1 nothing")
    register = judged(world, world.claim()).used_after
    unsorted = UsedRegister(ranges=pl.concat([register.ranges, register.ranges]), production=register.production)
    with pytest.raises(UsedRegisterError):
        UsedRegister.from_parquet(unsorted.to_parquet())
