"""A revocation: a verifier takes back one of its batches, or one record of it, before the freeze (R2.28)."""

from dataclasses import dataclass
from typing import Final

from ledger.evidence.items.signing import DigestSigner
from ledger.evidence.items.typed_data import REVOCATION, Domain
from ledger.model.units import Hash32, Timestamp

WHOLE_BATCH: Final = 2**32 - 1
"""The record number that stands for the whole batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """Revocation, member by member in the order it is hashed; `record` is the index in key order."""

    batch_uid: Hash32
    record: int
    reason: int
    revoked_at: Timestamp

    def digest(self, domain: Domain) -> Hash32:
        """What the batch's verifier signs."""
        return domain.digest(REVOCATION.hash_of(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRevocation:
    """A revocation with its signature. Whether the batch's verifier signed it has not been judged."""

    uid: Hash32
    revocation: Revocation
    signature: bytes


def sign_revocation(domain: Domain, signer: DigestSigner, revocation: Revocation) -> SignedRevocation:
    """Sign; only the signature of the batch's own verifier counts."""
    uid = revocation.digest(domain)
    return SignedRevocation(uid=uid, revocation=revocation, signature=signer.sign(uid))
