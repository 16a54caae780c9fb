"""Admission: what can be said to a sender at once, before an item is stored.

Only what is certain whatever else arrives is refused here; sequences, equivocation, nodes and single use
are judged on the frozen set. An admitted item is stored; the final verdict is always `judge`'s.
"""

from ledger.evidence.items.batch import SignedBatch
from ledger.evidence.items.records import malformed_record
from ledger.evidence.items.registration import SignedRegistration
from ledger.evidence.items.revocation import SignedRevocation
from ledger.evidence.items.signing import check_signer
from ledger.evidence.items.typed_data import Domain
from ledger.evidence.judging.batch_rules import check_revocation, check_window, checked_records
from ledger.evidence.judging.roles import RoleBook, role_refusal
from ledger.model.epoch import EpochCalendar
from ledger.model.refusals import ItemRefusedError, refused
from ledger.model.units import Timestamp

Item = SignedBatch | SignedRegistration | SignedRevocation


def admit(
    item: Item,
    now: Timestamp,
    calendar: EpochCalendar,
    domain: Domain,
    *,
    roles: RoleBook | None = None,
    revoked_batch: SignedBatch | None = None,
) -> ItemRefusedError | None:
    """Why the item cannot be taken, or None when it can.

    `roles`: the roles of the batch's epoch once they are final, else None: the role is then judged later.
    `revoked_batch`: the stored batch a revocation names, None when there is none.
    """
    try:
        match item:
            case SignedBatch():
                _check_batch(item, now, calendar, domain, roles)
            case SignedRegistration():
                _check_registration(item, now, domain)
            case SignedRevocation():
                _check_revocation(item, now, calendar, domain, revoked_batch)
    except ItemRefusedError as refusal:
        return refusal
    return None


def _check_batch(
    batch: SignedBatch, now: Timestamp, calendar: EpochCalendar, domain: Domain, roles: RoleBook | None
) -> None:
    header = batch.header
    check_signer(header.uid(domain), batch.signature, header.verifier)
    if roles is not None and (header.schema_id, header.verifier) not in roles.in_epoch(header.epoch):
        raise role_refusal(header.schema_id, header.epoch)
    schema, records = checked_records(batch)
    check_window(header, header.epoch, calendar)
    if now < header.window_end:
        raise refused("batch.early", f"it is {now}, but the window ends at {header.window_end}")
    if now > calendar.cut_off(header.epoch):
        raise refused("batch.late", f"it is {now}, the cut-off was {calendar.cut_off(header.epoch)}")
    fault = malformed_record(schema, records, header.window)
    if fault is not None:
        raise refused(fault.code, f"record {fault.index}: {fault.detail}")


def _check_registration(signed: SignedRegistration, now: Timestamp, domain: Domain) -> None:
    registration = signed.registration
    check_signer(registration.digest(domain), signed.signature, registration.operator)
    for fault in registration.faults():
        raise refused("registration.malformed", fault)
    if registration.valid_to <= now:
        raise refused("registration.late", f"valid to {registration.valid_to}, it is {now}")


def _check_revocation(
    signed: SignedRevocation, now: Timestamp, calendar: EpochCalendar, domain: Domain, batch: SignedBatch | None
) -> None:
    named = batch is not None and batch.header.uid(domain) == signed.revocation.batch_uid
    header = batch.header if batch is not None and named else None
    check_revocation(signed, signed.revocation.digest(domain), header)
    if header is not None and now > calendar.cut_off(header.epoch):
        raise refused("batch.late", f"it is {now}, the cut-off was {calendar.cut_off(header.epoch)}")
