"""A simulation as a file: canonical JSON, so that its SHA-256 means one result and a proposal can name it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ledger.evidence.items.typed_data import Domain
from ledger.model.errors import RefusedError, UsageError
from ledger.model.policy import Policy
from ledger.model.units import Hash32, to_hex
from ledger.simulation.comparison import Change, Comparison, Outcome, Side, gains_and_losses
from ledger.simulation.limits import limits
from ledger.tree.abi import EncodingError
from ledger.tree.canonical import canonical_json, parse_canonical
from ledger.tree.parameters import policy_document

FORMAT = "ath-ledger/simulation/1"


class OtherProposalError(RefusedError):
    """The simulation is of another policy, or of another ledger."""

    code = "simulation.other-proposal"
    default_hint = "ath-ledger gov simulate, with the same changes, then name the new file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A policy to be tried, and what it changes against the latest one scheduled."""

    policy: Policy
    policy_hash: Hash32
    against_version: int
    changes: tuple[tuple[str, str, str], ...]
    """Parameter, old and new value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationFile:
    """The document, its bytes and their SHA-256: what `sha256sum` says of the file."""

    document: Mapping[str, Any]
    content: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes, 0x-hex."""
        return "0x" + hashlib.sha256(self.content).hexdigest()

    def require_about(self, policy_hash: Hash32, domain: Domain) -> None:
        """Raise OtherProposalError unless exactly this policy was simulated, on this ledger."""
        if self.document["proposal"]["policy_hash"] != to_hex(policy_hash):
            raise OtherProposalError(
                f"simulation {self.digest} is of policy {self.document['proposal']['policy_hash']}"
            )
        if self.document["ledger"] != _ledger(domain):
            raise OtherProposalError(f"simulation {self.digest} is of the ledger {self.document['ledger']}")


def simulation_file(comparison: Comparison, proposal: Proposal, domain: Domain) -> SimulationFile:
    """Everything the comparison found. Amounts are decimal strings of wei; nothing of when or where it was made."""
    epochs = comparison.epochs
    document = {
        "format": FORMAT,
        "ledger": _ledger(domain),
        "epochs": {"first": epochs[0].epoch, "last": epochs[-1].epoch, "count": len(epochs)},
        "proposal": {
            "policy": policy_document(proposal.policy),
            "policy_hash": to_hex(proposal.policy_hash),
            "against_version": proposal.against_version,
            "changes": [{"name": name, "from": old, "to": new} for name, old, new in proposal.changes],
        },
        "replayed": [
            {
                "epoch": each.epoch,
                "policy_version": each.policy_version,
                "header_hash": to_hex(each.header_hash),
                "evidence_root": to_hex(each.evidence_root),
                "is_rejudged": each.is_rejudged,
                "sealed": _outcome(each.sealed),
                "proposed": _outcome(each.proposed),
            }
            for each in epochs
        ],
        "totals": {"sealed": _side(comparison.before), "proposed": _side(comparison.after)},
        "operators": _changes("operator", comparison.operators),
        "nodes": _changes("node_id", comparison.nodes),
        "models": _changes("model", comparison.models),
        "zones": _changes("zone", comparison.zones),
        "countries": _changes("country", comparison.countries),
        "limits": list(limits(comparison, proposal.policy)),
    }
    return SimulationFile(document=document, content=canonical_json(document))


def read_simulation(content: bytes) -> SimulationFile:
    """A simulation file as it was written. UsageError when the bytes are none, or were formatted anew."""
    try:
        document = parse_canonical(content)
    except EncodingError as error:
        raise UsageError(
            f"no simulation file: {error.what}", hint="name the simulation.json of gov simulate"
        ) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise UsageError("no simulation file: its format is unknown", hint="name the simulation.json of gov simulate")
    return SimulationFile(document=document, content=content)


def _ledger(domain: Domain) -> dict[str, object]:
    return {"chain_id": domain.chain_id, "rewards_ledger": to_hex(domain.verifying_contract)}


def _outcome(outcome: Outcome) -> dict[str, object]:
    totals = outcome.totals
    return {
        "rollover_in_wei": str(totals.rollover_in_wei),
        "payout_wei": str(totals.payout_wei),
        "carbon_wei": str(totals.carbon_wei),
        "reserve_wei": str(totals.reserve_wei),
        "rollover_out_wei": str(totals.rollover_out_wei),
        "carried_out_ug": str(totals.carried_out_ug),
    }


def _side(side: Side) -> dict[str, object]:
    return {
        "budget_wei": str(side.budget_wei),
        "rollover_in_wei": str(side.rollover_in_wei),
        "payout_wei": str(side.payout_wei),
        "carbon_wei": str(side.carbon_wei),
        "reserve_wei": str(side.reserve_wei),
        "rollover_out_wei": str(side.rollover_out_wei),
        "location_ug": str(side.location_ug),
        "residual_ug": str(side.residual_ug),
        "carried_in_ug": str(side.carried_in_ug),
        "carried_out_ug": str(side.carried_out_ug),
        "paid_for_ppm": side.paid_for_ppm,
        "load_wh": str(side.load_wh),
        "hourly_matched_ppm": side.hourly_matched_ppm,
        "volumetric_matched_ppm": side.volumetric_matched_ppm,
        "gini_ppm": side.concentration.gini_ppm,
        "largest_operator_ppm": side.concentration.largest_ppm,
        "ten_largest_operators_ppm": side.concentration.top_ten_ppm,
    }


def _changes(key: str, changes: Sequence[Change]) -> dict[str, object]:
    gain, lose, same = gains_and_losses(changes)
    rows = [
        {
            key: to_hex(change.key) if isinstance(change.key, bytes) else change.key,
            "nodes": change.nodes,
            "sealed_wei": str(change.before_wei),
            "proposed_wei": str(change.after_wei),
            "delta_wei": str(change.delta_wei),
            "delta_ppm": change.delta_ppm,
        }
        for change in changes
    ]
    return {"gain": gain, "lose": lose, "same": same, "rows": rows}
