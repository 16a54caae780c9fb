"""Which registration of each node counts in an epoch (R1.5 to R1.7).

In order: signature; two contents at one sequence void both; form; validity; the highest sequence; model
and zone; GPUs. A node whose counting registration is refused is not active: no older one returns.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from ledger.evidence.items.registration import NodeRegistration, SignedRegistration
from ledger.evidence.items.signing import check_signer
from ledger.evidence.items.typed_data import Domain
from ledger.evidence.judging.accepted import NODE_COLUMNS
from ledger.evidence.judging.verdicts import VerdictLog
from ledger.evidence.storage.store import ItemKind
from ledger.model.policy import Tables
from ledger.model.refusals import ItemRefusedError
from ledger.model.units import Hash32, NodeId, Timestamp, to_hex


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveNodes:
    """The active nodes (`NODE_COLUMNS`, ascending node_id), their registrations' digests, their GPUs."""

    nodes: pl.DataFrame
    digests: tuple[Hash32, ...]
    signed_digests: tuple[Hash32, ...]
    """Of every validly signed registration, active or not."""
    gpu_holders: Mapping[Hash32, NodeId]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    node_id: NodeId
    uid: Hash32
    registration: NodeRegistration


def active_nodes(
    registrations: Sequence[SignedRegistration],
    *,
    domain: Domain,
    epoch_start: Timestamp,
    epoch_end: Timestamp,
    tables: Tables,
    previous_holders: Mapping[Hash32, NodeId],
    log: VerdictLog,
    verified: frozenset[Hash32] = frozenset(),
) -> ActiveNodes:
    """Judge all registrations; every verdict goes to the log. `verified`: uids whose signature is known to be right."""
    signed = _validly_signed(registrations, domain, log, verified)
    refusals: dict[Hash32, tuple[str, str]] = {}
    of_node: defaultdict[NodeId, list[_Candidate]] = defaultdict(list)
    for candidate in signed:
        of_node[candidate.node_id].append(candidate)
    chosen = []
    for node in sorted(of_node):
        counting = _counting(of_node[node], epoch_start, epoch_end, refusals)
        if counting is not None and _is_known(counting, tables, refusals):
            chosen.append(counting)
    _refuse_shared_gpus(chosen, previous_holders, refusals)
    active = [candidate for candidate in chosen if candidate.uid not in refusals]
    for candidate in signed:
        code, detail = refusals.get(candidate.uid, ("", ""))
        log.item(ItemKind.REGISTRATION, candidate.uid, candidate.registration.operator, code, detail)
    return ActiveNodes(
        nodes=pl.DataFrame([_row(candidate) for candidate in active], schema=NODE_COLUMNS, orient="row"),
        digests=tuple(candidate.uid for candidate in active),
        signed_digests=tuple(candidate.uid for candidate in signed),
        gpu_holders={gpu: candidate.node_id for candidate in active for gpu in candidate.registration.gpu_ids},
    )


def _validly_signed(
    registrations: Iterable[SignedRegistration], domain: Domain, log: VerdictLog, verified: frozenset[Hash32]
) -> list[_Candidate]:
    """One candidate per digest that its operator signed; a digest all whose signatures fail is refused."""
    signed: dict[Hash32, _Candidate] = {}
    failed: dict[Hash32, tuple[NodeRegistration, str, str]] = {}
    for item in sorted(registrations, key=lambda item: (item.uid, item.signature)):
        registration = item.registration
        if item.uid in verified:
            signed[item.uid] = _Candidate(node_id=registration.node_id, uid=item.uid, registration=registration)
            continue
        uid = registration.digest(domain)
        try:
            check_signer(uid, item.signature, registration.operator)
        except ItemRefusedError as error:
            failed.setdefault(uid, (registration, error.code, error.what))
        else:
            signed[uid] = _Candidate(node_id=registration.node_id, uid=uid, registration=registration)
    for uid, (registration, code, what) in failed.items():
        if uid not in signed:
            log.item(ItemKind.REGISTRATION, uid, registration.operator, code, what)
    return [signed[uid] for uid in sorted(signed)]


def _counting(
    candidates: Sequence[_Candidate], start: Timestamp, end: Timestamp, refusals: dict[Hash32, tuple[str, str]]
) -> _Candidate | None:
    """The registration of one node that counts in the epoch, if any; why the others do not."""
    at_sequence: defaultdict[int, int] = defaultdict(int)
    for candidate in candidates:
        at_sequence[candidate.registration.sequence] += 1
    counting: _Candidate | None = None
    for candidate in sorted(candidates, key=lambda candidate: -candidate.registration.sequence):
        registration = candidate.registration
        fault = next(registration.faults(), None)
        if at_sequence[registration.sequence] > 1:
            refusals[candidate.uid] = ("registration.fork", f"two contents at sequence {registration.sequence}")
        elif fault is not None:
            refusals[candidate.uid] = ("registration.malformed", fault)
        elif not (registration.valid_from <= start and end <= registration.valid_to):
            refusals[candidate.uid] = (
                "registration.window",
                f"valid from {registration.valid_from} to {registration.valid_to}",
            )
        elif counting is not None:
            refusals[candidate.uid] = (
                "registration.superseded",
                f"sequence {counting.registration.sequence} counts",
            )
        else:
            counting = candidate
    return counting


def _is_known(candidate: _Candidate, tables: Tables, refusals: dict[Hash32, tuple[str, str]]) -> bool:
    """Whether the policy's tables know the model and the zone (R1.7)."""
    if candidate.registration.zone not in tables.zones:
        refusals[candidate.uid] = ("zone.unknown", f"zone {candidate.registration.zone}")
    elif candidate.registration.model not in tables.models:
        refusals[candidate.uid] = ("model.unknown", f"model {candidate.registration.model}")
    return candidate.uid not in refusals


def _refuse_shared_gpus(
    chosen: Sequence[_Candidate],
    previous_holders: Mapping[Hash32, NodeId],
    refusals: dict[Hash32, tuple[str, str]],
) -> None:
    """A GPU counts once (R1.6): for the node that held it, else the earlier validFrom, then the lower node id.

    Decided for each GPU among all that claim it, so that no order of decisions can matter.
    """
    first: dict[Hash32, _Candidate] = {}
    shared: defaultdict[Hash32, list[_Candidate]] = defaultdict(list)
    for candidate in chosen:
        for gpu in candidate.registration.gpu_ids:
            holder = first.setdefault(gpu, candidate)
            if holder is not candidate:
                claimants = shared[gpu] or [holder]
                shared[gpu] = [*claimants, candidate]
    for gpu in sorted(shared):
        held_by = previous_holders.get(gpu)
        keeper = min(
            shared[gpu],
            key=lambda claimant: (claimant.node_id != held_by, claimant.registration.valid_from, claimant.node_id),
        )
        for claimant in shared[gpu]:
            if claimant is not keeper:
                refusals[claimant.uid] = ("registration.gpu", f"GPU {to_hex(gpu)} counts for {to_hex(keeper.node_id)}")


def _row(candidate: _Candidate) -> tuple[bytes, bytes, str, str, str, int, int]:
    registration = candidate.registration
    return (
        candidate.node_id,
        registration.operator,
        registration.model,
        registration.zone,
        registration.country,
        registration.gpu_count,
        registration.nameplate_w,
    )
