"""Reading a bundle as a stranger's file: container, names, index, then every member into what it stands for.

What is read is well-formed and hashes to its index; whether it is true is `bundle_verification`'s question.
"""

import hashlib

from ledger.audit.bundle.container import read_zip
from ledger.audit.bundle.content import (
    BATCH_FOLDER,
    BUNDLE_FORMAT,
    INDEX,
    OWN_MEMBERS,
    PARENT_MEMBERS,
    SETTLEMENT_EVENTS,
    EpochBundle,
    LedgerIdentity,
    ParentProof,
    Settled,
    SettledAt,
)
from ledger.audit.bundle.error import (
    BundleDamagedError,
    BundleFormatError,
    MemberInvalidError,
    MemberMissingError,
    MemberUnknownError,
)
from ledger.audit.bundle.evidence import frozen_in, policy_in, tables_in
from ledger.audit.bundle.members import Members, document_in, lines_in, member_of, read_with, text_of
from ledger.audit.bundle.readme import BUNDLE_README
from ledger.audit.bundle.values import bytes_of, integer, parsed, record_of
from ledger.audit.bundle.writing import index_document
from ledger.audit.details.rows import DETAIL_KINDS
from ledger.audit.epoch_record import EpochRecord, ParentEpoch, SealRecord
from ledger.audit.seal_chain import ChainedEntry
from ledger.books.accounts import Asset, TransferCode
from ledger.books.transfers import Transfer
from ledger.model.allocation import NodeStatement, Opening, Totals
from ledger.model.header import EpochHeader, Manifest
from ledger.model.units import Address, Hash32, MicrogramsCo2e, Wei
from ledger.tree.abi import EncodingError
from ledger.tree.canonical import canonical_json
from ledger.tree.commitments import header_hash
from ledger.tree.exchange import dump_tree, load_tree
from ledger.tree.payout import PAYOUT_ENCODING
from ledger.tree.standard import TreeError


def read_bundle(content: memoryview) -> EpochBundle:
    """The epoch in a bundle's bytes, which have to stay readable: batches load their records from them when asked.

    Raises a BundleError (`bundle.…`, exit code 4) for everything that is not exactly a bundle.
    """
    members = read_zip(content)
    _check_format(members)
    _check_members(members)
    header = record_of(EpochHeader, document_in(members, "header.json"), "header.json")
    _check_index(members, header)
    identity = LedgerIdentity.of(document_in(members, "deployment.json"), "deployment.json")
    entries = tuple(_entry(entry, at) for at, entry in lines_in(members, "journal.ndjson"))
    before = _parent_proof(members) if PARENT_MEMBERS[0] in members else None
    record = EpochRecord(
        evidence=frozen_in(members, identity),
        parent=ParentEpoch() if before is None else _parent_epoch(members, before),
        totals=record_of(Totals, document_in(members, "totals.json"), "totals.json"),
        statements=[record_of(NodeStatement, row, at) for at, row in lines_in(members, "statements.ndjson")],
        leaves=tuple(_leaves(members, "tree.json").items()),
        manifest=record_of(Manifest, document_in(members, "manifest.json"), "manifest.json"),
        seal=_seal(entries),
        header=header,
        on_chain_header_hash=None,
        details={
            name: [record_of(kind, row, at) for at, row in lines_in(members, f"{name}.ndjson")]
            for name, kind in DETAIL_KINDS.items()
        },
    )
    settled = _settled(document_in(members, "settlement.json"))
    return EpochBundle(identity=identity, record=record, entries=entries, before=before, settled=settled)


def _check_format(members: Members) -> None:
    """Before anything else: of another format neither the members nor their meaning are known."""
    if INDEX not in members:
        raise MemberMissingError(f"the bundle has no {INDEX}")
    told = member_of(document_in(members, INDEX), "format", INDEX)
    if told != BUNDLE_FORMAT:
        raise BundleFormatError(f"the bundle has the format {told!r:.80}, this version reads {BUNDLE_FORMAT!r}")


def _check_members(members: Members) -> None:
    """Exactly the members of the format, in its order; `before/` all or none."""
    known = {INDEX, *OWN_MEMBERS, *PARENT_MEMBERS}
    for name in members:
        is_batch = name.startswith(BATCH_FOLDER) and len(name) == len(BATCH_FOLDER) + 64 + len(".ndjson")
        if name not in known and not (is_batch and name.endswith(".ndjson")):
            raise MemberUnknownError(f"{name!r:.120} is no member of a bundle")
    wanted = [INDEX, *OWN_MEMBERS]
    if any(name in members for name in PARENT_MEMBERS):
        wanted += PARENT_MEMBERS
    missing = [name for name in wanted if name not in members]
    if missing:
        raise MemberMissingError(f"the bundle has no {missing[0]}")
    if list(members) != [INDEX, *sorted(members.keys() - {INDEX})]:
        raise BundleDamagedError("the members do not stand in the order of their names, after the index")
    if bytes(members["README.md"]) != BUNDLE_README.encode("utf-8"):
        raise MemberInvalidError("README.md is not the one of this format")


def _check_index(members: Members, header: EpochHeader) -> None:
    """The index says exactly what the members are; the first one that differs is named."""
    digests = {name: (hashlib.sha256(body).digest(), len(body)) for name, body in members.items() if name != INDEX}
    try:
        expected = index_document(header.epoch, header_hash(header), digests)
    except EncodingError as error:
        raise MemberInvalidError(f"header.json: {error.what}") from error
    if members[INDEX] == expected:
        return
    listed = member_of(document_in(members, INDEX), "members", INDEX)
    named = (
        {entry.get("name"): entry for entry in listed if isinstance(entry, dict)} if isinstance(listed, list) else {}
    )
    for name, (digest, size) in digests.items():
        if named.get(name) != {"name": name, "sha256": digest.hex(), "size": size}:
            raise BundleDamagedError(f"{name} is not the file the index lists: its SHA-256 is {digest.hex()}")
    raise BundleDamagedError(f"{INDEX} lists other files, another epoch or another header than the bundle has")


def _parent_proof(members: Members) -> ParentProof:
    seal = document_in(members, "before/seal.json")
    if not isinstance(seal, dict) or set(seal) != {"canonical", "number", "previousHash"}:
        raise MemberInvalidError("before/seal.json has canonical, number and previousHash")
    return ParentProof(
        header=record_of(EpochHeader, document_in(members, "before/header.json"), "before/header.json"),
        manifest=record_of(Manifest, document_in(members, "before/manifest.json"), "before/manifest.json"),
        policy=policy_in(members, "before/policy.json"),
        tables=tables_in(members, "before/tables.json"),
        seal_number=integer(seal["number"], "before/seal.json · number"),
        seal_previous_hash=Hash32(bytes_of(seal["previousHash"], 32, "before/seal.json · previousHash")),
        seal_canonical=text_of(seal["canonical"], "before/seal.json · canonical"),
    )


def _parent_epoch(members: Members, before: ParentProof) -> ParentEpoch:
    where = "before/seal.json"
    totals = member_of(member_of(parsed(before.seal_canonical, where), "body", where), "totals", where)
    carried_ug = integer(member_of(totals, "carriedOutUg", where), f"{where} · carriedOutUg")
    return ParentEpoch(
        header_hash=read_with("before/header.json", lambda: header_hash(before.header)),
        seal_hash=before.header.ledger_head,
        used_ranges_root=before.manifest.used_ranges_root,
        opening=Opening(rollover_in_wei=before.header.rollover, carried_in_ug=MicrogramsCo2e(carried_ug)),
        cumulative_wei=_leaves(members, "before/tree.json"),
        tables=before.tables,
    )


def _leaves(members: Members, name: str) -> dict[Address, Wei]:
    """The leaves of a dumped claim tree, after every hash in it was found right."""
    document = document_in(members, name)
    if not isinstance(document, dict):
        raise MemberInvalidError(f"{name} is no dumped tree")
    try:
        tree = load_tree(document)
    except TreeError as error:
        raise MemberInvalidError(f"{name}: {error.what}") from error
    except (AttributeError, OverflowError, RecursionError) as error:
        raise MemberInvalidError(f"{name} is no dumped tree: {str(error)[:200]}") from error
    if canonical_json(dump_tree(tree)) != members[name]:
        raise MemberInvalidError(f"{name} says more than a tree's dump does, or says it otherwise")
    if tree.leaf_encoding != PAYOUT_ENCODING:
        raise MemberInvalidError(f"{name} is no claim tree: its leaves are {','.join(tree.leaf_encoding)}")
    rows = [tree.value_at(index) for index in range(len(tree))]
    accounts = [account for account, _ in rows if isinstance(account, bytes)]
    if accounts != sorted(set(accounts)):
        raise MemberInvalidError(f"{name} does not list each account once, in order")
    return {Address(account): Wei(int(amount)) for account, (_, amount) in zip(accounts, rows, strict=True)}


def _seal(entries: tuple[ChainedEntry, ...]) -> SealRecord:
    if not entries:
        raise MemberInvalidError("journal.ndjson has no seal")
    entry, where = entries[-1], "journal.ndjson, last line"
    content = parsed(entry.canonical, where)
    body = member_of(content, "body", where)
    return SealRecord(
        number=integer(member_of(content, "number", where), f"{where} · number"),
        attempt=integer(member_of(body, "attempt", where), f"{where} · attempt"),
        previous_hash=entry.previous_hash,
        canonical=entry.canonical,
        hash=entry.hash,
        transfers=entry.transfers,
    )


def _entry(document: object, at: str) -> ChainedEntry:
    if not isinstance(document, dict) or set(document) != {"canonical", "hash", "previousHash", "transfers"}:
        raise MemberInvalidError(f"{at} has canonical, hash, previousHash and transfers")
    if not isinstance(document["transfers"], list):
        raise MemberInvalidError(f"{at} · transfers is no list")
    return ChainedEntry(
        previous_hash=Hash32(bytes_of(document["previousHash"], 32, f"{at} · previousHash")),
        canonical=text_of(document["canonical"], f"{at} · canonical"),
        hash=Hash32(bytes_of(document["hash"], 32, f"{at} · hash")),
        transfers=tuple(_transfer(row, f"{at} · transfers") for row in document["transfers"]),
    )


def _transfer(row: object, where: str) -> Transfer:
    if not isinstance(row, list) or len(row) != 5 or not all(isinstance(row[place], str) for place in (0, 1, 2, 4)):
        raise MemberInvalidError(f"{where}: a transfer is debit, credit, asset, amount and code")
    debit, credit, asset, amount, code = row
    try:
        return Transfer(debit, credit, integer(amount, where), Asset(asset), TransferCode(code))
    except ValueError as error:
        raise MemberInvalidError(f"{where}: {error}") from error


def _settled(document: object) -> Settled:
    name = "settlement.json"
    if not isinstance(document, dict) or set(document) != set(SETTLEMENT_EVENTS):
        raise MemberInvalidError(f"{name} has {' and '.join(SETTLEMENT_EVENTS)}")
    return {
        event: None if at is None else record_of(SettledAt, at, f"{name} · {event}") for event, at in document.items()
    }
