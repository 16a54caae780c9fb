"""The report of one epoch or of several in a row: the nine sections of R7 in their order."""

from collections.abc import Sequence

from ledger.audit.reporting.carbon_sections import (
    coverage,
    energy,
    headline,
    intensity,
    location_based,
    market_based,
    moment,
)
from ledger.audit.reporting.certificates import certificates
from ledger.audit.reporting.document import Report
from ledger.audit.reporting.facts import EpochFacts
from ledger.audit.reporting.money_sections import controls, retirements, rewards
from ledger.audit.reporting.scopes import scopes_of
from ledger.audit.reporting.wording import check_words
from ledger.model.errors import UsageError
from ledger.model.units import SECONDS_PER_HOUR, to_hex

REHEARSAL_NOTE = "A rehearsal on a chain of its own: readings and certificates are synthetic, not measured."


def compose(period: Sequence[EpochFacts], *, is_rehearsal: bool = False) -> Report:
    """The report over consecutive epochs, ascending. UsageError for none, or for a gap."""
    numbers = [facts.epoch for facts in period]
    if not numbers or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        raise UsageError(f"a report is over consecutive epochs, got {numbers}", hint="ath-ledger audit report --help")
    scopes = scopes_of(period)
    first, last = period[0], period[-1]
    end = last.start + last.hours * SECONDS_PER_HOUR
    retired_ug = sum(each.retired_ug for facts in period for each in facts.retirements)
    span = f"epoch {first.epoch}" if len(period) == 1 else f"epochs {first.epoch} to {last.epoch}"
    facts = [(f"epoch {each.epoch} header", to_hex(each.header_hash)) for each in period]
    facts += [
        (f"epoch {each.epoch} correction", "its claim tree was superseded; the statements below are as sealed")
        for each in period
        if each.is_corrected
    ]
    facts += [(f"epoch {each.epoch} state", f"{each.state}, attempt {each.attempt}") for each in period]
    facts += [("policy", ", ".join(sorted({f"version {each.policy_version}" for each in period})))]
    report = Report(
        title=f"ATH Ledger report, {span}",
        period=f"{moment(first.start)} to {moment(end)} UTC",
        headline=[*headline(scopes[0]), *([REHEARSAL_NOTE] if is_rehearsal else [])],
        facts=facts,
        sections=[
            energy(scopes),
            location_based(scopes),
            market_based(scopes, retired_ug),
            certificates(period),
            coverage(scopes, period),
            retirements(period),
            intensity(scopes),
            rewards(scopes, period),
            controls(period),
        ],
    )
    check_words(report)
    return report
