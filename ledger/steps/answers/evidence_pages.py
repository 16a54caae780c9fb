"""Evidence a page at a time: batches, registrations and refusals at the door, by arrival."""

from typing import Any

from ledger.db import items
from ledger.evidence.storage.item_files import read_registration
from ledger.evidence.storage.store import ItemKind
from ledger.model.refusals import REFUSALS
from ledger.model.units import Address, EpochNumber, to_hex
from ledger.steps.answers.batch_standing import batch_row
from ledger.steps.ledger import Ledger
from ledger.steps.transitions.transition import utc
from ledger.tree.keccak import checksum_address


def batch_page(
    ledger: Ledger,
    *,
    after: int,
    limit: int,
    epoch: EpochNumber | None = None,
    verifier: Address | None = None,
    schema: str | None = None,
) -> list[dict[str, Any]]:
    """Admitted batches after an arrival; `arrival` is its number."""
    with ledger.database.reading() as session:
        found = items.items(
            session, kind=ItemKind.BATCH.value, after=after, limit=limit, epoch=epoch, signer=verifier, schema=schema
        )
    return [{"arrival": item.arrival, **batch_row(item)} for item in found]


def registration_page(
    ledger: Ledger, *, after: int, limit: int, operator: Address | None = None
) -> list[dict[str, Any]]:
    """Registrations after an arrival, as their operators signed them."""
    with ledger.database.reading() as session:
        found = items.items(session, kind=ItemKind.REGISTRATION.value, after=after, limit=limit, signer=operator)
    rows = []
    for item in found:
        content = ledger.evidence.get(ItemKind.REGISTRATION, item.uid)
        told = read_registration(content, ledger.domain).registration
        rows.append(
            {
                "arrival": item.arrival,
                "uid": to_hex(item.uid),
                "node_id": to_hex(told.node_id),
                "operator": checksum_address(told.operator),
                "model": told.model,
                "zone": told.zone,
                "country": told.country,
                "gpus": told.gpu_count,
                "nameplate_w": told.nameplate_w,
                "valid_from": utc(told.valid_from),
                "valid_to": utc(told.valid_to),
                "sequence": told.sequence,
                "received": utc(item.received_at),
            }
        )
    return rows


def refusal_page(
    ledger: Ledger,
    *,
    after: int,
    limit: int,
    epoch: EpochNumber | None = None,
    signer: Address | None = None,
    code: str | None = None,
) -> list[dict[str, Any]]:
    """What was refused at the door after one refusal, with its reason and remedy."""
    with ledger.database.reading() as session:
        signers = None if signer is None else [signer]
        found = items.refusals(session, after=after, limit=limit, epoch=epoch, signers=signers, code=code)
    return [
        {
            "number": each.number,
            "uid": None if each.uid is None else to_hex(each.uid),
            "kind": each.kind,
            "signer": None if each.signer is None else checksum_address(each.signer),
            "epoch": each.epoch,
            "code": each.code,
            "detail": each.detail,
            "remedy": REFUSALS[each.code].remedy if each.code in REFUSALS else "",
            "received": utc(each.received_at),
        }
        for each in found
    ]
