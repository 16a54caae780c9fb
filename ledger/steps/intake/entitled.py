"""Whose content is kept: nobody fills our disk who could not be anybody's evidence.

Asked before anything is stored, and of the header alone. The item must be one, signed by the account it names; a batch
or a revocation must come from an account that governance ever made a verifier. Everything else is judged later.
"""

from typing import TYPE_CHECKING, Final

from ledger.evidence.items.batch import SignedBatch
from ledger.evidence.items.registration import SignedRegistration
from ledger.evidence.items.revocation import SignedRevocation
from ledger.evidence.items.signing import check_signer, recover_signer
from ledger.evidence.judging.admission import Item
from ledger.model.errors import LedgerError
from ledger.model.refusals import refused
from ledger.model.units import Address
from ledger.steps.intake.collect import read_item
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.announced import announced_roles
from ledger.tree.keccak import checksum_address

if TYPE_CHECKING:
    from ledger.chain.deploying.deployment import Deployment

JSON_BYTES: Final = 2 * 2**20
"""JSON is read whole before anything is known about its sender; larger batches are Parquet, read by their footer."""
SMALL_BYTES: Final = 64 * 2**10
"""More than any registration or revocation has."""


def require_entitled(ledger: Ledger, deployment: "Deployment", content: bytes) -> Item:
    """The item in the content. Refuses with `file.…`, `item.signature…` or `batch.role`; nothing is recorded."""
    if content[:1] == b"{" and len(content) > JSON_BYTES:
        raise refused("file.too-large", f"{len(content)} bytes of JSON; beyond {JSON_BYTES} send Parquet")
    item = read_item(ledger, content)
    match item:
        case SignedBatch():
            check_signer(item.header.uid(ledger.domain), item.signature, item.header.verifier)
            _require_verifier(ledger, deployment, item.header.verifier)
        case SignedRegistration():
            _require_small(content)
            check_signer(item.registration.digest(ledger.domain), item.signature, item.registration.operator)
        case SignedRevocation():
            _require_small(content)
            signer = recover_signer(item.revocation.digest(ledger.domain), item.signature)
            _require_verifier(ledger, deployment, signer)
    return item


def _require_verifier(ledger: Ledger, deployment: "Deployment", account: Address) -> None:
    """An account that holds, held or will hold a role; while nobody can say, nobody is sent away."""
    known = {role.verifier for role in announced_roles(ledger, deployment).roles}
    if account in known:
        return
    try:
        known |= _verifiers_on_chain(ledger)
    except LedgerError:
        if not known:
            return
    if account not in known:
        raise refused("batch.role", f"{checksum_address(account)} is no verifier of this ledger")


def _verifiers_on_chain(ledger: Ledger) -> set[Address]:
    """At the chain's head: a role may be younger than what the follower has."""
    from ledger.chain.following.governed import verifier_roles

    settlement = ledger.settlement()
    head = settlement.connection.head()
    return {role.verifier for role in verifier_roles(settlement.connection, settlement.deployment, head).roles}


def _require_small(content: bytes) -> None:
    if len(content) > SMALL_BYTES:
        raise refused("file.too-large", f"{len(content)} bytes; a registration or revocation has at most {SMALL_BYTES}")
