"""A simulation as a page for people who vote: what changes, for whom, and what nobody can know."""

from collections.abc import Iterator, Sequence

from ledger.simulation.charts import label, signed_ath
from ledger.simulation.comparison import Change, Comparison, Side, gains_and_losses
from ledger.simulation.document import Proposal, SimulationFile

_SHOWN = 10
_AMOUNTS = (
    ("budget", "budget_wei"),
    ("rollover into the first epoch", "rollover_in_wei"),
    ("payout to operators", "payout_wei"),
    ("carbon carve-out", "carbon_wei"),
    ("reserve", "reserve_wei"),
    ("rollover out of the last epoch", "rollover_out_wei"),
)
_GRAMS = (
    ("location-based emissions", "location_ug"),
    ("market-based emissions, hourly", "residual_ug"),
    ("liability carried into the first epoch", "carried_in_ug"),
    ("liability left unpaid after the last epoch", "carried_out_ug"),
)


def markdown(comparison: Comparison, proposal: Proposal, file: SimulationFile, charts: Sequence[str]) -> str:
    """The page. `charts` are the names of the drawings beside it."""
    return "\n".join([*_lines(comparison, proposal, file, charts), ""])


def _lines(comparison: Comparison, proposal: Proposal, file: SimulationFile, charts: Sequence[str]) -> Iterator[str]:
    first, last = comparison.epochs[0].epoch, comparison.epochs[-1].epoch
    yield f"# Simulation: policy {file.document['proposal']['policy_hash'][:10]}… over epochs {first} to {last}"
    yield ""
    yield f"SHA-256 of `simulation.json`: `{file.digest}`"
    yield ""
    yield f"Against policy {proposal.against_version}:"
    yield ""
    yield from (f"- `{name}`: {old} → {new}" for name, old, new in proposal.changes)
    if not proposal.changes:
        yield "- nothing"
    yield ""
    yield from _totals(comparison.before, comparison.after)
    yield from _distribution(comparison)
    for title, changes in (
        ("Operators", comparison.operators),
        ("Node models", comparison.models),
        ("Zones", comparison.zones),
        ("Countries", comparison.countries),
    ):
        yield from _group(title, changes)
    yield from _epochs(comparison)
    if charts:
        yield "## Charts"
        yield ""
        for name in charts:
            yield f"![{name.removesuffix('.svg')}]({name})"
            yield ""
    yield "## What this assumes, and what it cannot know"
    yield ""
    yield from (f"- {sentence}" for sentence in file.document["limits"])


def _totals(before: Side, after: Side) -> Iterator[str]:
    yield "## Totals"
    yield ""
    yield "| | sealed | proposed | difference |"
    yield "|---|--:|--:|--:|"
    for title, name in _AMOUNTS:
        old, new = getattr(before, name), getattr(after, name)
        yield f"| {title}, wei | {old} | {new} | {new - old} ({signed_ath(new - old)}) |"
    for title, name in _GRAMS:
        old, new = getattr(before, name), getattr(after, name)
        yield f"| {title}, µg CO2e | {old} | {new} | {new - old} |"
    yield _ratio("emissions owed that the carve-out paid for", before.paid_for_ppm, after.paid_for_ppm)
    yield _ratio("load matched in the same hour", before.hourly_matched_ppm, after.hourly_matched_ppm)
    yield _ratio("load matched at all", before.volumetric_matched_ppm, after.volumetric_matched_ppm)
    yield ""


def _distribution(comparison: Comparison) -> Iterator[str]:
    before, after = comparison.before.concentration, comparison.after.concentration
    yield "## Winners, losers, concentration"
    yield ""
    for name, changes in (("operators", comparison.operators), ("nodes", comparison.nodes)):
        gain, lose, same = gains_and_losses(changes)
        yield f"- {name}: {gain} gain, {lose} lose, {same} stay the same"
    yield f"- the winning operators gain {comparison.moved_wei} wei ({signed_ath(comparison.moved_wei)}) in all"
    yield ""
    yield "| over operators | sealed | proposed | difference |"
    yield "|---|--:|--:|--:|"
    yield f"| Gini coefficient, ppm | {before.gini_ppm} | {after.gini_ppm} | {after.gini_ppm - before.gini_ppm} |"
    yield _ratio("share of the largest", before.largest_ppm, after.largest_ppm)
    yield _ratio("share of the ten largest", before.top_ten_ppm, after.top_ten_ppm)
    yield ""


def _group(title: str, changes: Sequence[Change]) -> Iterator[str]:
    is_cut = len(changes) > 2 * _SHOWN
    shown = [*changes[:_SHOWN], *changes[-_SHOWN:]] if is_cut else changes
    yield f"## {title}"
    yield ""
    if is_cut:
        yield f"The {_SHOWN} greatest gains and losses of {len(changes)}; `simulation.json` has all."
        yield ""
    yield "| | nodes | sealed, wei | proposed, wei | difference, wei | |"
    yield "|---|--:|--:|--:|--:|--:|"
    for change in shown:
        share = "" if change.delta_ppm is None else _percent(change.delta_ppm)
        yield (
            f"| {label(change)} | {change.nodes} | {change.before_wei} | {change.after_wei} | {change.delta_wei} "
            f"| {share} |"
        )
    yield ""


def _epochs(comparison: Comparison) -> Iterator[str]:
    yield "## Epoch by epoch"
    yield ""
    yield "| epoch | policy | payout sealed | payout proposed | carbon sealed | carbon proposed | unpaid µg proposed |"
    yield "|--:|--:|--:|--:|--:|--:|--:|"
    for each in comparison.epochs:
        old, new = each.sealed.totals, each.proposed.totals
        yield (
            f"| {each.epoch} | {each.policy_version} | {old.payout_wei} | {new.payout_wei} | {old.carbon_wei} "
            f"| {new.carbon_wei} | {new.carried_out_ug} |"
        )
    yield ""


def _ratio(title: str, before_ppm: int, after_ppm: int) -> str:
    return f"| {title} | {_percent(before_ppm)} | {_percent(after_ppm)} | {_percent(after_ppm - before_ppm)} |"


def _percent(ppm: int) -> str:
    """Exactly what the ppm say, as a percentage with four decimals."""
    whole, part = divmod(abs(ppm), 10**4)
    return f"{'−' if ppm < 0 else ''}{whole}.{part:04d} %"
