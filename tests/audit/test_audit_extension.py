"""That later books only continue earlier ones, from headers and entries alone."""

import pytest

from ledger.audit.proving.checking import check_proof
from ledger.audit.proving.extension_proof import extension_proof
from ledger.audit.proving.proof import ProofBrokenError, proof_bytes
from ledger.books.posting import Chain, EntryKind, Posting, entry_bytes, link
from ledger.model.header import EpochHeader
from ledger.model.units import ZERO_HASH, EpochNumber, Hash32, MicrogramsCo2e, Timestamp, Wei
from ledger.tree.commitments import header_hash


def books(epochs: int, *, note: str = "") -> tuple[list[EpochHeader], list[bytes]]:
    """Headers and seals of so many epochs; a policy before the third seal."""
    headers: list[EpochHeader] = []
    entries: list[bytes] = []
    head, parent = ZERO_HASH, ZERO_HASH
    for epoch in range(epochs):
        kinds = [EntryKind.POLICY, EntryKind.SEAL] if epoch == 2 else [EntryKind.SEAL]
        for kind in kinds:
            posting = Posting(
                chain=Chain.SEAL, key=f"{kind}/{epoch}", kind=kind, effective_at=Timestamp(epoch), body={"note": note}
            )
            canonical = entry_bytes(posting.content(), len(entries) + 1).canonical
            entries.append(canonical)
            head = link(Chain.SEAL, head, canonical)
        header = EpochHeader(
            epoch=EpochNumber(epoch), claim_root=ZERO_HASH, ledger_head=head, policy_hash=ZERO_HASH,
            manifest_hash=ZERO_HASH, parent_hash=parent, payout=Wei(0), carbon=Wei(0), reserve=Wei(0),
            rollover=Wei(0), residual_micrograms=MicrogramsCo2e(0),
        )  # fmt: skip
        headers.append(header)
        parent = header_hash(header)
    return headers, entries


def test_an_extension_leads_from_head_to_head() -> None:
    headers, entries = books(5)
    proven = check_proof(proof_bytes(extension_proof(headers[1:], 2, entries[2:])), header_hash(headers[-1]))
    assert (proven.epoch, proven.facts["from_epoch"], proven.facts["entries"]) == (4, 1, 4)


@pytest.mark.parametrize("left_out", range(4))
def test_an_entry_left_out_is_found(left_out: int) -> None:
    headers, entries = books(5)
    later = [entry for place, entry in enumerate(entries[2:]) if place != left_out]
    with pytest.raises(ProofBrokenError):
        check_proof(proof_bytes(extension_proof(headers[1:], 2, later)))


def test_an_entry_after_the_last_head_is_found() -> None:
    headers, entries = books(5)
    with pytest.raises(ProofBrokenError, match="after the last head"):
        check_proof(proof_bytes(extension_proof(headers[1:4], 2, entries[2:])))


def test_another_history_is_no_extension() -> None:
    headers, entries = books(4)
    rewritten, other = books(4, note="rewritten")
    with pytest.raises(ProofBrokenError, match="parent"):
        check_proof(proof_bytes(extension_proof([headers[0], *rewritten[1:]], 1, other[1:])))
    with pytest.raises(ProofBrokenError, match="no entry is the ledger head"):
        check_proof(proof_bytes(extension_proof(headers, 1, other[1:])))
    with pytest.raises(ProofBrokenError, match="does not follow"):
        check_proof(proof_bytes(extension_proof([headers[0], headers[2]], 1, entries[1:4])))
    with pytest.raises(ProofBrokenError, match="at least two"):
        check_proof(proof_bytes(extension_proof(headers[:1], 1, [])))
    assert Hash32(header_hash(headers[-1])) != header_hash(rewritten[-1])
