"""Every reason for which an item, a record or an hour is refused: one code, one meaning, one next action.

A code is for ever: reports count by it, senders program against it. Nothing in the ledger may refuse
with a code that is not in `REFUSALS`; `refused` makes sure of it and so does a test over the sources.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn

from ledger.model.errors import InvariantError, RefusedError


class RefusalScope(StrEnum):
    """What a code takes out of the epoch."""

    FILE = "file"
    ITEM = "item"
    RECORD = "record"
    HOUR = "hour"
    NODE = "node"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One reason: its code, the acceptance rule it enforces (n of R3.n; 0 = before any), its meaning and remedy."""

    code: str
    scope: RefusalScope
    rule: int
    meaning: str
    remedy: str


_FILE, _ITEM, _RECORD, _HOUR, _NODE = RefusalScope

_ALL: tuple[tuple[str, RefusalScope, int, str, str], ...] = (
    # files, before any rule: what is in them was never evidence
    (
        "file.not-a-batch",
        _FILE,
        0,
        "the bytes are neither Parquet nor a JSON batch",
        "write the file with: ath-ledger batch make",
    ),
    (
        "file.not-an-item",
        _FILE,
        0,
        "the bytes are not the JSON item they are sent as",
        "write it with: ath-ledger node register",
    ),
    ("file.truncated", _FILE, 0, "the file is cut off or its inner structure is damaged", "send the whole file again"),
    ("file.too-large", _FILE, 0, "the file, or what it unpacks to, is larger than a batch can be", "split the batch"),
    ("file.too-many-records", _FILE, 0, "more than 65,536 records", "split the records over several batches"),
    ("file.header", _FILE, 0, "header, signature or format marker is missing or not readable", "sign it again"),
    ("file.domain", _FILE, 0, "the file was signed for another chain or contract", "sign it for this ledger"),
    ("file.columns", _FILE, 0, "columns are missing, unknown or in another order", "use the columns of the schema"),
    ("file.types", _FILE, 0, "a column has another type than its schema says", "use the types of the schema"),
    ("file.nulls", _FILE, 0, "a record has an empty field", "fill every field; unknown readings are not sent"),
    ("file.value", _FILE, 0, "a value does not fit the type it is signed as", "correct the value and sign again"),
    # rule 1
    ("item.signature", _ITEM, 1, "the signature is malformed or not the claimed signer's", "sign for this ledger"),
    ("item.signature-high-s", _ITEM, 1, "the signature's s is in the upper half of the order", "use a low-s signer"),
    ("revocation.not-verifier", _ITEM, 1, "not signed by the verifier of the batch", "revoke with the batch's key"),
    ("revocation.unknown-batch", _ITEM, 1, "names a batch that is not in this epoch", "check the batch's uid"),
    ("revocation.unknown-record", _ITEM, 1, "names a record the batch does not have", "check the record's index"),
    # rule 2
    ("batch.role", _ITEM, 2, "the signer holds no role for this schema in this epoch", "ask governance for the role"),
    # rule 3
    ("batch.schema", _ITEM, 3, "the schema is not one this ledger knows", "use a schema id of the encodings page"),
    ("batch.empty", _ITEM, 3, "the batch has no records", "send nothing instead of an empty batch"),
    ("batch.count", _ITEM, 3, "the header counts another number of records", "make the batch again"),
    ("batch.order", _ITEM, 3, "the records are not in ascending key order", "sort the records by their key"),
    ("batch.duplicate-key", _ITEM, 3, "two records have the same key", "merge or drop one of them"),
    ("batch.root", _ITEM, 3, "the records do not hash to the signed root", "send the records that were signed"),
    # rule 4
    ("batch.window", _ITEM, 4, "the window is not whole hours inside the batch's epoch", "cut batches at epoch ends"),
    ("batch.early", _ITEM, 4, "issued before its window ended", "issue after the last hour is over"),
    ("batch.late", _ITEM, 4, "issued or sent after the epoch's cut-off", "nothing: the epoch is closed for evidence"),
    ("batch.expired", _ITEM, 4, "expires before the epoch's cut-off", "choose a later expiry"),
    # rule 5
    (
        "batch.gap",
        _ITEM,
        5,
        "a batch before it in the sequence is missing",
        "send the missing batch before the cut-off",
    ),
    ("batch.fork", _ITEM, 5, "two batches at one place in the sequence void each other", "sign one batch per sequence"),
    ("batch.previous", _ITEM, 5, "does not name the batch before it in the sequence", "chain to the previous uid"),
    # rule 6
    ("batch.revoked", _ITEM, 6, "its verifier revoked the batch", "nothing: that was the verifier's decision"),
    ("record.revoked", _RECORD, 6, "its verifier revoked the record", "nothing: that was the verifier's decision"),
    (
        "record.equivocation",
        _RECORD,
        6,
        "one verifier says two things about one hour",
        "revoke the wrong record in time",
    ),
    # rule 7
    ("record.malformed", _ITEM, 7, "a record is not well-formed, which refuses its whole batch", "correct the record"),
    ("node.unknown", _RECORD, 7, "the node has no active registration in this epoch", "register the node in time"),
    ("zone.unknown", _RECORD, 7, "the policy's tables do not know the zone", "use a zone of the tables"),
    ("model.unknown", _ITEM, 7, "the policy's tables do not know the hardware model", "use a model of the tables"),
    ("uptime.mask", _RECORD, 7, "a minute is up but not seen, or lies beyond the hour", "correct the masks"),
    (
        "uptime.not-assigned",
        _RECORD,
        7,
        "the checker is not one of the node's checkers",
        "check the assigned nodes only",
    ),
    ("grid.bounds", _RECORD, 7, "a factor is above 2,000,000 mg/kWh or a flag is unknown", "correct the factors"),
    ("registration.malformed", _ITEM, 7, "a field of the registration is out of bounds", "correct and sign it again"),
    ("registration.fork", _ITEM, 5, "two contents at one sequence void each other", "register at a higher sequence"),
    ("registration.window", _ITEM, 4, "the epoch does not lie inside its validity", "nothing, or register anew"),
    ("registration.superseded", _ITEM, 5, "a higher sequence replaced it", "nothing: the newer one counts"),
    ("registration.gpu", _ITEM, 7, "one of its GPUs counts in another node's registration", "register your own GPUs"),
    ("registration.late", _ITEM, 4, "its validity is over", "choose a later validTo"),
    # rule 8 and the hours: the rules' refusals
    ("quorum.unresolved", _NODE, 8, "more than a quarter of the observed hours are unresolved", "ask the checkers"),
    ("quorum.verifier-outage", _NODE, 8, "no hour was observed by enough checkers", "governance looks at the checkers"),
    ("quorum.capacity", _NODE, 8, "too few checkers saw the hardware work as registered", "pass the capacity check"),
    ("energy.implausible", _HOUR, 7, "the hour's energy is outside what the hardware can do", "check the meter"),
    (
        "energy.missing",
        _HOUR,
        7,
        "no accepted energy record for the hour; charged at the maximum",
        "send meter records",
    ),
    ("energy.disputed", _HOUR, 7, "meters differ by more than a tenth; the worst counts", "check the meters"),
    ("grid.missing", _HOUR, 7, "no grid factor for the hour; the yearly one counts", "data verifiers send the hour"),
    (
        "grid.no-residual-mix",
        _HOUR,
        7,
        "no residual mix is published; location-based counts",
        "nothing: it is disclosed",
    ),
    ("grid.estimated", _HOUR, 7, "the factor is an estimate", "nothing: it is disclosed"),
    # rule 9
    (
        "certificate.registry",
        _RECORD,
        9,
        "the signer may not speak for this registry",
        "ask governance for the registry",
    ),
    ("certificate.affiliated", _RECORD, 9, "the signer belongs to the node's operator", "use an independent verifier"),
    ("certificate.bounds", _RECORD, 9, "range, device capacity or times are out of bounds", "correct the claim"),
    ("certificate.source", _RECORD, 9, "the source is not renewable under this policy", "claim renewable sources"),
    ("certificate.tier", _RECORD, 9, "the tier is neither 1 nor 2", "use tier 1 or 2"),
    ("certificate.zone", _RECORD, 9, "produced in another zone, or another market", "match the node's zone"),
    ("certificate.hour", _RECORD, 9, "not produced in the hour of consumption", "match the hour"),
    ("certificate.window", _RECORD, 9, "produced too far from the epoch", "use production within 183 days"),
    ("certificate.beneficiary", _RECORD, 9, "cancelled for somebody else than the operator", "cancel for the operator"),
    ("certificate.not-cancelled", _RECORD, 9, "no cancellation time or reference", "cancel it at the registry first"),
    (
        "certificate.cancelled-late",
        _RECORD,
        9,
        "cancelled at or after the epoch's cut-off",
        "cancel before the cut-off",
    ),
    (
        "certificate.capacity",
        _RECORD,
        9,
        "the device cannot have produced so much in the time",
        "check the device's data",
    ),
    ("certificate.used", _RECORD, 9, "every Wh was credited in an earlier epoch", "claim fresh certificates"),
    ("certificate.collision", _RECORD, 9, "every Wh is claimed twice in this epoch", "settle who owns the certificate"),
)

REFUSALS: Mapping[str, Refusal] = {
    code: Refusal(code=code, scope=scope, rule=rule, meaning=meaning, remedy=remedy)
    for code, scope, rule, meaning, remedy in _ALL
}
if len(REFUSALS) != len(_ALL):
    raise InvariantError("a refusal code is listed twice")


class ItemRefusedError(RefusedError):
    """Evidence cannot be taken; `code` is the refusal's, `hint` its remedy."""

    code = "item.refused"


_CLASSES: dict[str, type[ItemRefusedError]] = {
    code: type("RefusedAs_" + code.replace(".", "_").replace("-", "_"), (ItemRefusedError,), {"code": code})
    for code in REFUSALS
}


def refused(code: str, what: str) -> ItemRefusedError:
    """The error that refuses with this code; InvariantError when the code is not registered."""
    if code not in _CLASSES:
        _unregistered((code,))
    return _CLASSES[code](what, hint=REFUSALS[code].remedy)


def check_registered(codes: Iterable[str]) -> None:
    """InvariantError unless every code is registered; the empty code means accepted."""
    unknown = sorted(set(codes) - REFUSALS.keys() - {""})
    if unknown:
        _unregistered(unknown)


def _unregistered(codes: Iterable[str]) -> NoReturn:
    raise InvariantError(f"refusal codes without an entry in REFUSALS: {', '.join(codes)}")
