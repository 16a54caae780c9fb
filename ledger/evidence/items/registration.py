"""A node's registration: what an operator signs about a node before the epoch that counts it (R1.4)."""

from collections.abc import Iterator
from dataclasses import dataclass

from ledger.evidence.items.signing import DigestSigner
from ledger.evidence.items.typed_data import NODE_REGISTRATION, Domain
from ledger.model.refusals import refused
from ledger.model.units import Address, Hash32, NodeId, Timestamp
from ledger.tree.commitments import node_id

MAX_GPUS = 72
MAX_NAMEPLATE_W_PER_GPU = 3000
_MAX_NUMBER = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRegistration:
    """NodeRegistration, member by member in the order it is hashed; `zone` and `country` as text."""

    operator: Address
    serial: Hash32
    model: str
    gpu_ids: tuple[Hash32, ...]
    zone: str
    country: str
    nameplate_w: int
    valid_from: Timestamp
    valid_to: Timestamp
    sequence: int

    @property
    def node_id(self) -> NodeId:
        """keccak256(abi.encode(operator, serial))."""
        return node_id(self.operator, self.serial)

    @property
    def gpu_count(self) -> int:
        """How many GPUs the node has."""
        return len(self.gpu_ids)

    def digest(self, domain: Domain) -> Hash32:
        """What the operator signs."""
        return domain.digest(NODE_REGISTRATION.hash_of(self))

    def faults(self) -> Iterator[str]:
        """Each field that is out of bounds (R1.7)."""
        if not 1 <= self.gpu_count <= MAX_GPUS:
            yield f"{self.gpu_count} GPUs, a node has 1 to {MAX_GPUS}"
        if len(set(self.gpu_ids)) != self.gpu_count:
            yield "a GPU is listed twice"
        if not 1 <= self.nameplate_w <= MAX_NAMEPLATE_W_PER_GPU * self.gpu_count:
            yield f"nameplate {self.nameplate_w} W is not 1 to {MAX_NAMEPLATE_W_PER_GPU} W a GPU"
        if not self.model or len(self.model) > 64 or not (self.model.isascii() and self.model.isprintable()):
            yield "the model's name is not 1 to 64 printable ASCII characters"
        if not (self.zone.isascii() and self.zone.isprintable()) or " " in self.zone:
            yield f"zone {self.zone!r} is not printable ASCII"
        if not (
            len(self.country) == 2 and self.country.isascii() and self.country.isalpha() and self.country.isupper()
        ):
            yield f"country {self.country!r} is not two capital letters (ISO 3166-1 alpha-2)"
        if not self.valid_from < self.valid_to <= _MAX_NUMBER:
            yield f"valid from {self.valid_from} to {self.valid_to} is no time"
        if self.sequence > _MAX_NUMBER:
            yield f"sequence {self.sequence} is above {_MAX_NUMBER}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRegistration:
    """A registration with its operator's signature. Nothing about it has been judged."""

    uid: Hash32
    registration: NodeRegistration
    signature: bytes


def sign_registration(domain: Domain, signer: DigestSigner, registration: NodeRegistration) -> SignedRegistration:
    """Check the fields as acceptance will, and sign; refuses with `registration.malformed`."""
    for fault in registration.faults():
        raise refused("registration.malformed", fault)
    uid = registration.digest(domain)
    return SignedRegistration(uid=uid, registration=registration, signature=signer.sign(uid))
