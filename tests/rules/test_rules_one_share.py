"""One share of many: the same wei as the whole split gives, whatever the weights, ties and amounts (R4.17)."""

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledger.rules.v1.one_share import Weights
from ledger.rules.v1.remainder import split

AMOUNTS = st.one_of(st.integers(0, 100), st.integers(0, 2**105 - 1))
WEIGHTS = st.one_of(
    st.integers(0, 6),
    st.integers(0, 2**63 - 1),
    st.sampled_from([2**62, 2**63 - 1, 2**32, 2**32 - 1, 2**55 + 1, 315 * 10**12, 1000 * 10**12]),
)


def share_by_splitting(weights: list[int], place: int, weight: int, amount: int) -> int:
    others = list(weights)
    others[place] = weight
    return split(amount, others)[0][place]


def share_of_newcomer(weights: list[int], place: int, amount: int) -> int:
    """The place's share when it had no weight before: nothing is known of the split it gets its share in."""
    before = list(weights)
    before[place] = 0
    return Weights(before, few=0).share(place, weights[place], amount)


@given(weights=st.lists(WEIGHTS, min_size=1, max_size=40), place=st.integers(0, 39), weight=WEIGHTS, amount=AMOUNTS)
@example(weights=[1, 1, 1], place=1, weight=1, amount=1)
@example(weights=[1, 1, 1], place=0, weight=1, amount=2)
@example(weights=[0, 0], place=0, weight=0, amount=5)
@example(weights=[2, 1], place=0, weight=0, amount=3)
@example(weights=[3, 3, 3, 3], place=2, weight=3, amount=4 * 10**20 + 2)
def test_one_share_is_what_the_whole_split_gives(weights: list[int], place: int, weight: int, amount: int) -> None:
    place %= len(weights)
    expected = share_by_splitting(weights, place, weight, amount)
    assert Weights(weights, few=0).share(place, weight, amount) == expected
    assert Weights(weights).share(place, weight, amount) == expected


def test_one_share_of_a_handful_is_what_the_whole_split_gives_however_they_are_drawn() -> None:
    """So few that one place too many or too few before it changes the answer."""
    drawn = random.Random(3)
    weight = lambda: drawn.choice([drawn.randrange(7), drawn.randrange(2**63)])  # noqa: E731
    for _ in range(4000):
        weights = [weight() for _ in range(drawn.randrange(1, 7))]
        place, other = drawn.randrange(len(weights)), weight()
        amount = drawn.choice([drawn.randrange(100), drawn.randrange(2**105)])
        assert Weights(weights, few=0).share(place, other, amount) == share_by_splitting(weights, place, other, amount)


def test_a_remainder_just_above_nothing_is_not_taken_for_one_just_below_a_wei() -> None:
    total = 2**62 - 57  # a prime: every amount has a weight whose share is a whole number and the smallest fraction
    drawn = random.Random(5)
    for _ in range(200):
        amount = drawn.randrange(2, total)
        tiny = [pow(amount, -1, total) * remainder % total for remainder in (1, 2)]
        if sum(tiny) >= total - 10:
            continue
        rest = total - sum(tiny)
        weights = [*tiny, rest // 3, rest - rest // 3]
        shares, _ = split(amount, weights)
        assert [share_of_newcomer(weights, place, amount) for place in range(4)] == shares


@pytest.mark.parametrize("seed", range(4))
def test_every_place_of_a_network_with_few_distinct_weights_gets_its_share(seed: int) -> None:
    drawn = random.Random(seed)
    kinds = [drawn.randrange(0, 2**56) for _ in range(drawn.choice([1, 2, 40]))]
    weights = [drawn.choice(kinds) for _ in range(6000)]
    amount = drawn.randrange(2 * 10**24)
    shares, _ = split(amount, weights)
    prepared = Weights(weights)
    assert [prepared.share(place, weights[place], amount) for place in range(0, 6000, 13)] == shares[::13]
    assert [share_of_newcomer(weights, place, amount) for place in range(0, 6000, 599)] == shares[::599]


def test_a_changed_weight_in_a_large_network_gets_what_splitting_again_would_give() -> None:
    """More weights than are looked at together, both of those that occur once and of those that occur often."""
    drawn = random.Random(7)
    often = [drawn.randrange(10**15, 10**17) for _ in range(35_000)]
    weights = [*often, *often, *(drawn.randrange(10**15, 10**17) for _ in range(35_000))]
    drawn.shuffle(weights)
    amount = 2_587_268_700_000_000_000_000_003
    prepared = Weights(weights)
    for place in (0, 1, 777, 104_999):
        for weight in (0, weights[place] + 1, weights[0], 10**17):
            assert prepared.share(place, weight, amount) == share_by_splitting(weights, place, weight, amount)


def test_weights_beyond_a_machine_word_are_split_the_plain_way() -> None:
    weights = [2**69 + number for number in range(50)]
    prepared = Weights(weights, few=0)
    assert prepared.share(3, 2**69, 10**24) == share_by_splitting(weights, 3, 2**69, 10**24)
    narrow = Weights([5, 6, 7], few=0)
    assert narrow.share(1, 2**64, 10**24) == share_by_splitting([5, 6, 7], 1, 2**64, 10**24)
