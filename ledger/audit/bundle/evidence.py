"""Members of a bundle that are inputs of its epoch: everything signed, roles, policy, tables, what was used before."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import polars as pl

from ledger.audit.bundle.content import BATCH_FOLDER, PARENT_MEMBERS, LedgerIdentity
from ledger.audit.bundle.error import MemberInvalidError
from ledger.audit.bundle.members import Members, document_in, lines_in, read_with
from ledger.audit.bundle.values import bytes_of, integer, line_contents, parsed_lines
from ledger.evidence.items.batch import SignedBatch
from ledger.evidence.items.json_values import from_json
from ledger.evidence.items.records import RECORD_COLUMNS
from ledger.evidence.items.registration import SignedRegistration
from ledger.evidence.items.revocation import SignedRevocation
from ledger.evidence.items.typed_data import Domain
from ledger.evidence.judging.frozen import FrozenEvidence
from ledger.evidence.judging.roles import RoleBook
from ledger.evidence.judging.used_ranges import PRODUCTION_COLUMNS, RANGE_COLUMNS, UsedRegister
from ledger.evidence.storage.batch_files import read_batch, write_batch_json
from ledger.evidence.storage.item_files import read_registration, read_revocation, write_registration, write_revocation
from ledger.model.policy import Policy, Tables
from ledger.model.refusals import ItemRefusedError
from ledger.model.units import EpochNumber, Hash32, NodeId
from ledger.tree.parameters import policy_from_document, tables_from_document

Signed = TypeVar("Signed", SignedRegistration, SignedRevocation)


def frozen_in(members: Members, identity: LedgerIdentity) -> FrozenEvidence:
    """The frozen evidence of the epoch; batches load their records from the members when they are asked for."""
    epoch, domain = document_in(members, "epoch.json"), identity.domain
    if not isinstance(epoch, dict) or set(epoch) != {"epoch", "rolesBlock", "rolesBlockHash"}:
        raise MemberInvalidError("epoch.json has epoch, rolesBlock and rolesBlockHash")
    is_first = PARENT_MEMBERS[0] not in members
    return FrozenEvidence(
        epoch=EpochNumber(integer(epoch["epoch"], "epoch.json · epoch")),
        calendar=identity.calendar,
        domain=domain,
        roles=_roles(members["roles.json"]),
        roles_block=integer(epoch["rolesBlock"], "epoch.json · rolesBlock"),
        roles_block_hash=Hash32(bytes_of(epoch["rolesBlockHash"], 32, "epoch.json · rolesBlockHash")),
        policy=policy_in(members, "policy.json"),
        tables=tables_in(members, "tables.json"),
        registrations=_items(members, "registrations.ndjson", domain, read_registration, write_registration),
        batches=[_batch(body, name, domain) for name, body in members.items() if name.startswith(BATCH_FOLDER)],
        revocations=_items(members, "revocations.ndjson", domain, read_revocation, write_revocation),
        previous_holders={} if is_first else _holders(members),
        used=UsedRegister.empty() if is_first else _used(members),
    )


def policy_in(members: Members, name: str) -> Policy:
    """The policy in a member."""
    return read_with(name, lambda: policy_from_document(document_in(members, name)))


def tables_in(members: Members, name: str) -> Tables:
    """The tables in a member."""
    return read_with(name, lambda: tables_from_document(bytes(members[name])))


def _roles(content: memoryview) -> RoleBook:
    roles = read_with("roles.json", lambda: RoleBook.from_json(bytes(content)))
    if roles.to_json() != content:
        raise MemberInvalidError("roles.json is not in canonical form")
    return roles


def _items(
    members: Members,
    name: str,
    domain: Domain,
    read: Callable[[bytes, Domain], Signed],
    write: Callable[[Signed, Domain], bytes],
) -> list[Signed]:
    """Signed items, one a line, by ascending digest and each in the one form it is exported in."""
    items: list[Signed] = []
    for number, line in enumerate(line_contents(members[name], name), start=1):
        item = read_with(f"{name} line {number}", partial(read, line, domain))
        if write(item, domain) != line or (items and items[-1].uid >= item.uid):
            raise MemberInvalidError(f"{name} line {number} is not in canonical form or out of order")
        items.append(item)
    return items


def _batch(content: memoryview, name: str, domain: Domain) -> SignedBatch:
    head = next(line_contents(content, name), b"")
    batch = read_with(name, lambda: read_batch(head, domain))
    nothing = SignedBatch(
        uid=batch.uid, header=batch.header, signature=batch.signature, source=lambda: _records(batch, (), name)
    )
    if name != f"{BATCH_FOLDER}{batch.uid.hex()}.ndjson" or write_batch_json(nothing, domain) != head:
        raise MemberInvalidError(f"{name} does not begin with the batch it is named after, in canonical form")

    def load() -> pl.DataFrame:
        lines = parsed_lines(content, name)
        next(lines)
        return _records(batch, lines, name)

    return SignedBatch(uid=batch.uid, header=batch.header, signature=batch.signature, source=load)


def _records(batch: SignedBatch, documents: Any, name: str) -> pl.DataFrame:
    schema = batch.header.schema
    if schema is None:
        raise MemberInvalidError(f"{name} has a schema that does not exist")
    try:
        rows = [from_json(schema.struct, document) for document in documents]
        return pl.DataFrame(rows, schema=RECORD_COLUMNS[schema], orient="row")
    except ItemRefusedError as error:
        raise MemberInvalidError(f"{name}: {error.what}") from error
    except (pl.exceptions.PolarsError, OverflowError, TypeError, ValueError) as error:
        raise MemberInvalidError(f"{name}: {str(error)[:200]}") from error


def _used(members: Members) -> UsedRegister:
    ranges = _frame(members, "before/used-ranges.ndjson", RANGE_COLUMNS)
    production = _frame(members, "before/used-production.ndjson", PRODUCTION_COLUMNS)
    used = UsedRegister.empty().after(ranges, production)
    if not (used.ranges.equals(ranges) and used.production.equals(production)):
        raise MemberInvalidError("the used ranges before are not sorted, or touch each other")
    return used


def _frame(members: Members, name: str, columns: Mapping[str, pl.DataType]) -> pl.DataFrame:
    rows = []
    for at, row in lines_in(members, name):
        if not isinstance(row, list) or len(row) != len(columns):
            raise MemberInvalidError(f"{at} does not have the {len(columns)} values {', '.join(columns)}")
        rows.append(
            [
                bytes_of(value, 32, at) if kind == pl.Binary else integer(value, at)
                for value, kind in zip(row, columns.values(), strict=True)
            ]
        )
    try:
        return pl.DataFrame(rows, schema=dict(columns), orient="row")
    except (pl.exceptions.PolarsError, OverflowError, TypeError) as error:
        raise MemberInvalidError(f"{name}: {str(error)[:200]}") from error


def _holders(members: Members) -> dict[Hash32, NodeId]:
    name = "before/gpu-holders.ndjson"
    holders: dict[Hash32, NodeId] = {}
    last = b""
    for at, row in lines_in(members, name):
        if not isinstance(row, list) or len(row) != 2:
            raise MemberInvalidError(f"{at} is not a GPU and its node")
        gpu, node = (bytes_of(value, 32, at) for value in row)
        if gpu <= last:
            raise MemberInvalidError(f"{at} is out of order")
        last = gpu
        holders[Hash32(gpu)] = NodeId(node)
    return holders
