"""Who may attest what: the verifier roles as the chain held them at an epoch's roles block."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ledger.evidence.items.json_values import bytes_from_json, integer_from_json, parse_json
from ledger.model.refusals import ItemRefusedError, refused
from ledger.model.units import ZERO_ADDRESS, Address, EpochNumber, Hash32, to_hex
from ledger.tree.canonical import canonical_json

_MEMBERS = {"schemaId", "verifier", "affiliation", "registryIds", "fromEpoch", "untilEpoch", "order"}


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierRole:
    """One `setVerifier` call: a verifier's standing for one schema from one epoch to another, inclusive.

    `affiliation` is the operator the verifier belongs to, the zero address for none; `registry_ids` say
    for which certificate registries it may speak; `order` numbers the calls as the chain has them.
    """

    schema_id: Hash32
    verifier: Address
    affiliation: Address
    registry_ids: tuple[Hash32, ...]
    from_epoch: EpochNumber
    until_epoch: EpochNumber
    order: int

    def is_affiliated_with(self, operator: Address) -> bool:
        """Whether the verifier is the operator's own: it may then not attest for it."""
        return operator in (self.verifier, self.affiliation)


class RoleBook:
    """All calls up to the roles block, and what they mean in an epoch.

    Per (schema, verifier) the entry with the greatest fromEpoch ≤ the epoch counts, the later call wins a
    tie, and untilEpoch is inclusive (R1.2): an entry that has ended does not let an older one return.
    """

    def __init__(self, roles: Iterable[VerifierRole]) -> None:
        self.roles = tuple(sorted(roles, key=lambda role: role.order))
        if len({role.order for role in self.roles}) != len(self.roles):
            raise refused("file.value", "two verifier roles have the same order")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RoleBook) and self.roles == other.roles

    def __hash__(self) -> int:
        return hash(self.roles)

    def in_epoch(self, epoch: EpochNumber) -> Mapping[tuple[Hash32, Address], VerifierRole]:
        """The roles that hold in the epoch, by (schema id, verifier)."""
        counting: dict[tuple[Hash32, Address], VerifierRole] = {}
        for role in self.roles:
            key = (role.schema_id, role.verifier)
            older = counting.get(key)
            if role.from_epoch <= epoch and (older is None or role.from_epoch >= older.from_epoch):
                counting[key] = role
        return {key: role for key, role in counting.items() if epoch <= role.until_epoch}

    def holders(self, schema: Hash32, epoch: EpochNumber) -> tuple[VerifierRole, ...]:
        """Everybody who holds the role for a schema in the epoch, by ascending verifier."""
        roles = (role for (schema_id, _), role in self.in_epoch(epoch).items() if schema_id == schema)
        return tuple(sorted(roles, key=lambda role: role.verifier))

    def to_json(self) -> bytes:
        """Canonical JSON, calls in order."""
        return canonical_json([_role_to_json(role) for role in self.roles])

    @classmethod
    def from_json(cls, content: bytes) -> "RoleBook":
        """The book in a JSON document; refuses with `file.…` what is not one."""
        document = parse_json(content)
        if not isinstance(document, list):
            raise refused("file.value", "a role book is a list of roles")
        return cls(_role_from_json(entry) for entry in document)


def role_refusal(schema: Hash32, epoch: EpochNumber) -> ItemRefusedError:
    """R3.2: the signer holds no role for the schema in the epoch."""
    return refused("batch.role", f"no role for schema {to_hex(schema)} in epoch {epoch}")


def _role_to_json(role: VerifierRole) -> dict[str, Any]:
    return {
        "schemaId": to_hex(role.schema_id),
        "verifier": to_hex(role.verifier),
        "affiliation": to_hex(role.affiliation),
        "registryIds": [to_hex(registry) for registry in role.registry_ids],
        "fromEpoch": role.from_epoch,
        "untilEpoch": role.until_epoch,
        "order": role.order,
    }


def _role_from_json(entry: object) -> VerifierRole:
    if not isinstance(entry, dict) or set(entry) != _MEMBERS or not isinstance(entry["registryIds"], list):
        raise refused("file.value", f"a role has the members {', '.join(sorted(_MEMBERS))}")
    return VerifierRole(
        schema_id=Hash32(bytes_from_json(entry["schemaId"], 32)),
        verifier=Address(bytes_from_json(entry["verifier"], 20)),
        affiliation=Address(bytes_from_json(entry["affiliation"], 20)),
        registry_ids=tuple(Hash32(bytes_from_json(registry, 32)) for registry in entry["registryIds"]),
        from_epoch=EpochNumber(integer_from_json(entry["fromEpoch"])),
        until_epoch=EpochNumber(integer_from_json(entry["untilEpoch"])),
        order=integer_from_json(entry["order"]),
    )


NO_AFFILIATION = ZERO_ADDRESS
"""What a verifier that belongs to no operator is affiliated with."""
