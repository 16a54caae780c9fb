"""What a simulation assumes and what it cannot know, said with every result."""

from collections.abc import Iterator

from ledger.model.policy import Policy
from ledger.simulation.comparison import Comparison


def limits(comparison: Comparison, policy: Policy) -> Iterator[str]:
    """Sentences for the reader, the general ones first."""
    first, last = comparison.epochs[0].epoch, comparison.epochs[-1].epoch
    yield (
        f"Epochs {first} to {last} as they happened. Nobody's behaviour is predicted: operators would have bought "
        "other certificates, saved other energy, joined or left under another policy, and a simulation cannot know it."
    )
    yield (
        f"The proposal is replayed as if it had been in force from epoch {first} on: it starts from what epoch "
        f"{first} really opened with, and carries its own rollover and its own unpaid liability from epoch to epoch."
    )
    yield (
        "Each epoch's replay under its own policy was held against its seal before anything was compared, and is "
        "equal to the wei. Sealed epochs do not change, whatever is decided."
    )
    versions = sorted({each.policy_version for each in comparison.epochs})
    if len(versions) > 1:
        yield (
            f"These epochs were sealed under policies {', '.join(map(str, versions))}: the difference shown is to "
            "what was sealed, and contains what changed between those policies too."
        )
    if any(each.is_rejudged for each in comparison.epochs):
        yield (
            "The proposal changes what acceptance reads, so evidence was judged again under it. What nobody sent "
            "because it would have been refused is missing from the replay."
        )
    drawn = sorted({policy.quorum_k, *(each.quorum_k for each in comparison.epochs)})
    if len(drawn) > 1:
        yield (
            f"The number of checkers a node is drawn differs ({' and '.join(map(str, drawn))}): checkers who were "
            "not drawn then need not have reported, and their silence counts as unknown minutes."
        )
