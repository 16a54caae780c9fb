"""Splits an amount by weights to the last wei: largest remainders (R4.17). Python's integers, they never wrap."""

from collections.abc import Sequence


def split(amount: int, weights: Sequence[int]) -> tuple[list[int], int]:
    """Shares in the weights' order, and how many of them got one wei more than their floor.

    Ties go to the earlier weight. The shares sum to the amount unless all weights are 0: then all are 0.
    """
    total = sum(weights)
    if total == 0:
        return [0] * len(weights), 0
    parts = [divmod(amount * weight, total) for weight in weights]
    shares = [quotient for quotient, _ in parts]
    left_over = amount - sum(shares)
    # Python's sort keeps equal elements in their order, in reverse too.
    largest_first = sorted(range(len(parts)), key=lambda index: parts[index][1], reverse=True)
    for index in largest_first[:left_over]:
        shares[index] += 1
    return shares, left_over
