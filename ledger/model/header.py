"""What goes on chain for an epoch, and the manifest of everything that produced it. Hashed in `ledger.tree`."""

from dataclasses import dataclass

from ledger.model.units import EpochNumber, Hash32, MicrogramsCo2e, Wei


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochHeader:
    """The contract's `EpochHeader`, field by field and in its order; headers chain through `parent_hash`."""

    epoch: EpochNumber
    claim_root: Hash32
    ledger_head: Hash32
    policy_hash: Hash32
    manifest_hash: Hash32
    parent_hash: Hash32
    payout: Wei
    carbon: Wei
    reserve: Wei
    rollover: Wei
    residual_micrograms: MicrogramsCo2e


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Hashes of all inputs and rules of one epoch's result (encodings spec, manifest), in hashing order."""

    epoch: EpochNumber
    policy_hash: Hash32
    rules_version: str
    evidence_root: Hash32
    registrations_root: Hash32
    used_ranges_root: Hash32
    roles_block: int
    roles_block_hash: Hash32
    statements_hash: Hash32
    rollover_in: Wei
    carried_in_ug: MicrogramsCo2e
    previous_seal: Hash32
