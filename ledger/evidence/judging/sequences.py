"""R3.5, R3.12: a verifier's batches of one schema and epoch form one gapless chain.

Every validly signed batch fills its place, whatever becomes of it, so that one bad batch does not undo
what follows. Nobody can drop a batch they regret, or hold two stories ready for one place.
"""

from collections import defaultdict
from collections.abc import Mapping

from ledger.evidence.items.batch import BatchHeader
from ledger.model.units import ZERO_HASH, Address, EpochNumber, Hash32

_Chain = tuple[Address, Hash32, EpochNumber]


def sequence_codes(signed: Mapping[Hash32, BatchHeader]) -> dict[Hash32, str]:
    """Per uid of a validly signed batch `batch.gap`, `batch.fork`, `batch.previous` or ''.

    `signed` has every validly signed batch of the frozen set, also those refused by an earlier rule.
    """
    chains: defaultdict[_Chain, defaultdict[int, set[Hash32]]] = defaultdict(lambda: defaultdict(set))
    for uid, header in signed.items():
        chains[header.verifier, header.schema_id, header.epoch][header.sequence].add(uid)
    codes = {}
    for chain in chains.values():
        unbroken = 0
        while unbroken in chain:
            unbroken += 1
        for sequence, uids in chain.items():
            before = chain.get(sequence - 1, set()) if sequence else {ZERO_HASH}
            for uid in uids:
                codes[uid] = _code(signed[uid], unbroken, uids, before)
    return codes


def _code(header: BatchHeader, unbroken: int, beside: set[Hash32], before: set[Hash32]) -> str:
    if header.sequence >= unbroken:
        return "batch.gap"
    if len(beside) > 1:
        return "batch.fork"
    return "" if header.previous_batch in before else "batch.previous"
