"""Which checkers judge which node: a ring nobody can steer or know before the epoch (R1.8)."""

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
import sha3

from ledger.evidence.judging.roles import VerifierRole
from ledger.model.units import ZERO_ADDRESS, EpochNumber, Hash32
from ledger.tree.commitments import checker_position, roles_seed

_NOBODY = -1


def assign_checkers(
    epoch: EpochNumber,
    roles_block_hash: Hash32,
    checkers: Sequence[VerifierRole],
    nodes: pl.DataFrame,
    k: int,
) -> pl.DataFrame:
    """Each node's checkers: the k next on the ring that do not belong to its operator, or all if fewer.

    `checkers` are the holders of the uptime role, one entry each; `nodes` has node_id and operator. The
    answer has node_id and verifier, nodes in the given order, checkers in ring order. Whoever comes
    first in either input changes nothing.
    """
    seed = roles_seed(epoch, roles_block_hash)
    ring = sorted(checkers, key=lambda role: checker_position(seed, role.verifier))
    if not ring or not nodes.height:
        return pl.DataFrame(schema={"node_id": pl.Binary, "verifier": pl.Binary})
    places = [checker_position(seed, role.verifier) for role in ring]
    starts = np.array([bisect_left(places, at) % len(ring) for at in _positions(seed, nodes["node_id"])])
    chosen = _walk(ring, nodes["operator"], starts, k)
    row, column = np.nonzero(chosen != _NOBODY)
    verifiers = pl.Series("verifier", [role.verifier for role in ring], dtype=pl.Binary)
    return pl.DataFrame([nodes["node_id"].gather(row), verifiers.gather(chosen[row, column])])


def _positions(seed: Hash32, node_ids: pl.Series) -> list[bytes]:
    """Where every node's search begins: keccak256(abi.encode(seed, nodeId)), two static words."""
    keccak = sha3.keccak_256
    return [keccak(seed + node_id).digest() for node_id in node_ids.to_list()]


def _walk(
    ring: Sequence[VerifierRole], operators: pl.Series, starts: npt.NDArray[np.int64], k: int
) -> npt.NDArray[np.int64]:
    """All nodes go round the ring at once, a step at a time, until each has its k or has seen everybody."""
    owner_of = {operator: number for number, operator in enumerate(operators.unique().to_list())}
    owners = np.array([owner_of[operator] for operator in operators.to_list()])
    own = np.array([owner_of.get(role.verifier, _NOBODY) for role in ring])
    affiliated = np.array(
        [_NOBODY if role.affiliation == ZERO_ADDRESS else owner_of.get(role.affiliation, _NOBODY) for role in ring]
    )
    chosen = np.full((len(starts), k), _NOBODY, dtype=np.int64)
    found = np.zeros(len(starts), dtype=np.int64)
    searching = np.arange(len(starts))
    for step in range(len(ring)):
        candidates = (starts[searching] + step) % len(ring)
        free = (own[candidates] != owners[searching]) & (affiliated[candidates] != owners[searching])
        takers = searching[free]
        chosen[takers, found[takers]] = candidates[free]
        found[takers] += 1
        searching = searching[found[searching] < k]
        if not len(searching):
            break
    return chosen
