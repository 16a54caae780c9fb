"""An explanation as a document: the same members on the command line, over HTTP and in a file."""

from typing import Any

from ledger.model.plain import ath
from ledger.steps.answers.explain import Explanation, comparison_rows, share_ppm
from ledger.steps.answers.missed_thresholds import MissedThreshold


def explanation_document(found: Explanation) -> dict[str, Any]:
    """Everything about one node's payout; amounts in wei, bytes as bytes (`plain` makes JSON of it)."""
    paid, totals, missed = found.paid, found.totals, missed_facts(found)
    return {
        "epoch": found.epoch,
        "state": found.state.value,
        "attempt": found.attempt,
        "node": paid.node_id,
        "operator": paid.operator,
        "model": paid.model,
        "gpu_count": paid.gpu_count,
        "zone": paid.zone,
        "country": paid.country,
        "pay_wei": paid.pay_wei,
        "lines": payout_lines(found),
        "policy": {
            "version": found.policy.version,
            "effective_epoch": found.policy.effective_epoch,
            "policy_hash": found.policy.policy_hash,
            "tables_hash": found.tables_hash,
            "rules_version": found.rules_version,
        },
        "factors": _factor_facts(found),
        "share": {
            "weight": str(paid.weight),
            "sum_weight": str(totals.sum_weight),
            "share_ppm": share_ppm(found),
            "rounding_wei": found.rounding_wei,
        },
        "carve_outs": {name: getattr(totals, name) for name in totals.__dataclass_fields__},
        "registration": found.evidence.registration,
        "batches": [{name: getattr(use, name) for name in use.__dataclass_fields__} for use in found.evidence.batches],
        "refused": [
            {
                **{name: getattr(each, name) for name in each.__dataclass_fields__},
                "meaning": each.meaning,
                "remedy": each.remedy,
            }
            for each in found.evidence.refusals
        ],
        "nearest_missed": missed[0] if missed else None,
        "missed": missed,
        "missed_together_wei": found.together_wei,
        "low_efficiency_wei": found.low_efficiency_wei,
        "before": comparison_rows(found),
        "statement": {name: getattr(paid, name) for name in paid.__dataclass_fields__},
    }


def payout_lines(found: Explanation) -> list[dict[str, Any]]:
    """The three lines that sum to the payout."""
    paid = found.paid
    lines = {"base": paid.base_wei, "efficiency": paid.efficiency_wei, "green": paid.green_wei}
    return [{"line": name, "amount_wei": amount, "rule": "R4.20"} for name, amount in lines.items()]


def missed_facts(found: Explanation) -> list[dict[str, Any]]:
    """Each threshold that was missed, the nearest first, with the sentence for a person."""
    names = ("name", "rule", "has", "needs", "unit", "cost_wei", "changes")
    several = len(found.missed) > 1
    return [
        {
            **{name: getattr(missed, name) for name in names},
            "sentence": cost_sentence(missed, is_one_of_several=several),
        }
        for missed in found.missed
    ]


def cost_sentence(missed: MissedThreshold, *, is_one_of_several: bool) -> str:
    """What was missed and what that cost."""
    if missed.cost_wei is None:
        return f"{missed.sentence}; what that cost cannot be said"
    return f"{missed.sentence}; that {'alone ' if is_one_of_several else ''}cost {ath(missed.cost_wei)} ATH"


def _factor_facts(found: Explanation) -> list[dict[str, Any]]:
    facts = [{name: getattr(line, name) for name in line.__dataclass_fields__} for line in found.factors]
    # weights and wei are text whatever their size, so that a reader meets one type
    return [{**fact, "value": str(fact["value"])} for fact in facts]
