"""Registrations and revocations as files: canonical JSON, with the signature beside what is signed.

What a sender gives is hostile until read: every way in which a file can be bad has a refusal code.
"""

from typing import Any, Final

from ledger.evidence.items.json_values import (
    bytes_from_json,
    check_domain,
    domain_to_json,
    from_json,
    parse_json,
    to_json,
)
from ledger.evidence.items.registration import NodeRegistration, SignedRegistration
from ledger.evidence.items.revocation import Revocation, SignedRevocation
from ledger.evidence.items.typed_data import NODE_REGISTRATION, REVOCATION, Domain, TypedStruct
from ledger.model.refusals import refused
from ledger.model.units import to_hex
from ledger.tree.canonical import canonical_json

REGISTRATION_FORMAT: Final = "ath-ledger/registration/1"
REVOCATION_FORMAT: Final = "ath-ledger/revocation/1"


def write_registration(signed: SignedRegistration, domain: Domain) -> bytes:
    """The registration as canonical JSON."""
    return _write_item(REGISTRATION_FORMAT, "registration", NODE_REGISTRATION, signed.registration, signed, domain)


def read_registration(content: bytes, domain: Domain) -> SignedRegistration:
    """The registration in a JSON document; refuses with `file.…`."""
    values, signature = _read_item(content, REGISTRATION_FORMAT, "registration", NODE_REGISTRATION, domain)
    registration = NodeRegistration(**values)
    return SignedRegistration(uid=registration.digest(domain), registration=registration, signature=signature)


def write_revocation(signed: SignedRevocation, domain: Domain) -> bytes:
    """The revocation as canonical JSON."""
    return _write_item(REVOCATION_FORMAT, "revocation", REVOCATION, signed.revocation, signed, domain)


def read_revocation(content: bytes, domain: Domain) -> SignedRevocation:
    """The revocation in a JSON document; refuses with `file.…`."""
    values, signature = _read_item(content, REVOCATION_FORMAT, "revocation", REVOCATION, domain)
    revocation = Revocation(**values)
    return SignedRevocation(uid=revocation.digest(domain), revocation=revocation, signature=signature)


def _write_item(
    kind: str,
    name: str,
    struct: TypedStruct,
    item: object,
    signed: SignedRegistration | SignedRevocation,
    domain: Domain,
) -> bytes:
    values = {member.column: getattr(item, member.column) for member in struct.members}
    return canonical_json(
        {
            "format": kind,
            "domain": domain_to_json(domain),
            name: to_json(struct, values),
            "signature": to_hex(signed.signature),
        }
    )


def _read_item(
    content: bytes, kind: str, name: str, struct: TypedStruct, domain: Domain
) -> tuple[dict[str, Any], bytes]:
    document = parse_json(content)
    if not isinstance(document, dict) or document.get("format") != kind:
        raise refused("file.not-an-item", f"the format marker is not {kind!r}")
    if set(document) != {"format", "domain", name, "signature"}:
        raise refused("file.header", f"a {name} has format, domain, {name} and signature")
    check_domain(document["domain"], domain)
    return from_json(struct, document[name]), bytes_from_json(document["signature"])
