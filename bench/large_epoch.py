"""A ledger with one final epoch of as many operators as asked, for whoever measures answers at the network's size.

    python bench/large_epoch.py FOLDER [--operators 435000] [--database-url postgresql+psycopg://…]

Everything is synthetic. Rules, statements, seal, journal, tree and stores are the ledger's own; what would need a chain
or hours is made up: registrations have neither signatures nor files (whose they are is prepared, as workers do ahead),
nothing was judged (all evidence counts), the transitions to FINAL name no transaction, and the deployment names
contracts that are nowhere.
"""

import argparse
import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import large_evidence
import polars as pl
from large_evidence import EPOCH, GENESIS, HOURS, POLICY, TABLES, LargeEvidence

from ledger.books.log_entries import ChainPoint, activation_entry
from ledger.chain.contracts.artefacts import ALL_CONTRACTS
from ledger.chain.deploying.deployment import Deployment
from ledger.db import epochs, items, journal, parts
from ledger.db import policies as policy_rows
from ledger.evidence.items.registration import SignedRegistration
from ledger.evidence.items.signing import SIGNATURE_BYTES
from ledger.evidence.judging.frozen import Judgement
from ledger.evidence.judging.used_ranges import UsedRegister
from ledger.evidence.judging.verdicts import VerdictLog
from ledger.evidence.storage.store import ItemKind, store_batch
from ledger.evidence.storage.verified_registrations import VerifiedRegistrations
from ledger.model.allocation import Opening
from ledger.model.epoch import EpochState
from ledger.model.units import Address, EpochNumber, Hash32, MicrogramsCo2e, Timestamp, Wei, to_hex
from ledger.rules import rules_for
from ledger.rules.statements import operator_totals, sealed_statements
from ledger.steps.computing.registrations import KIND
from ledger.steps.computing.shards import shards_of
from ledger.steps.establish import bind_database
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.sealed import header_of
from ledger.steps.recorded.statements import statements_of
from ledger.steps.transitions.compute import computed_facts
from ledger.steps.transitions.seal import seal
from ledger.tree.commitments import header_hash, policy_hash
from ledger.tree.keccak import keccak256
from ledger.tree.standard import root_of_digests
from ledger.workspace import Workspace

OPERATORS = 435_000
_NOWHERE = "http://127.0.0.1:9"
_AT = Timestamp(GENESIS + HOURS * 3600 + 7 * 3600)


@dataclass(frozen=True, slots=True)
class LargeEpoch:
    """Where it is, and whom to ask about."""

    root: Path
    epoch: EpochNumber
    operators: list[Address]
    nodes: list[bytes]
    """The operators' nodes, by ascending node id; `operators` in the same order."""
    earners: list[Address]
    """Those operators who earned anything, and so have a proof."""


def load(
    workspace_root: Path,
    operators: int = OPERATORS,
    database_url: str | None = None,
    *,
    tell: Callable[[str], None] = print,
) -> LargeEpoch:
    """Make the ledger in a new folder; one that is there already is only opened. With a database URL its books, and
    then its evidence too, are in that (empty) PostgreSQL database.
    """
    done = workspace_root / "large-epoch"
    if not done.exists():
        _make(workspace_root, operators, database_url, tell)
        done.write_text(f"{operators}\n")
    ledger = Workspace.at(workspace_root).open(read_only=True)
    try:
        with ledger.database.reading() as session:
            frame = statements_of(ledger.artefacts, session, EPOCH, epochs.FIRST_ATTEMPT)
    finally:
        ledger.close()
    return LargeEpoch(
        workspace_root,
        EPOCH,
        [Address(each) for each in frame["operator"].to_list()],
        frame["node_id"].to_list(),
        [Address(each) for each in frame.filter(pl.col("weight") > 0)["operator"].to_list()],
    )


def _make(root: Path, operators: int, database_url: str | None, tell: Callable[[str], None]) -> None:
    started = time.perf_counter()

    def told(what: str) -> None:
        tell(f"{time.perf_counter() - started:7.1f} s  {what}")

    settings = {"rpc_url": _NOWHERE, "clock": "system"} | ({"database_url": database_url} if database_url else {})
    place = Workspace.create(root, settings)
    _deployment().write(place.deployment_file)
    ledger = place.open()
    try:
        bind_database(ledger.database, place.deployment(), GENESIS)
        evidence = large_evidence.large_evidence(operators, ledger.domain)
        told(f"{operators:,} operators, {len(evidence.batches)} batches signed")
        _store(ledger, evidence)
        uids = [keccak256(each.node_id) for each in evidence.registrations]
        told("evidence stored")
        _prepare(ledger, evidence, uids)
        judgement = _judgement(evidence, uids)
        _freeze(ledger, evidence, len(uids) + len(evidence.batches))
        _compute(ledger, judgement)
        told("computed")
        seal(ledger, EPOCH)
        told("sealed")
        _activate(ledger)
        told("final")
    finally:
        ledger.close()


def _deployment() -> Deployment:
    return Deployment(
        chain_id=31_337, genesis_hash=keccak256(b"nowhere"), first_block=0,
        addresses={name: Address(keccak256(name.encode())[:20]) for name in ALL_CONTRACTS},
        code_hashes={name: keccak256(name.encode()) for name in ALL_CONTRACTS}, genesis=GENESIS,
        epoch_length=HOURS * 3600, window=6 * 3600, finality_depth=12, treasury=Address(b"\1" * 20),
        reserve=Address(b"\2" * 20), deployer=Address(b"\3" * 20),
    )  # fmt: skip


def _store(ledger: Ledger, evidence: LargeEvidence) -> None:
    """Put the batches where they belong."""
    for batch in evidence.batches:
        stored = store_batch(ledger.evidence, batch, ledger.domain)
        schema = batch.header.schema
        with ledger.database.transaction() as session:
            items.record_item(
                session, uid=batch.uid, kind=ItemKind.BATCH.value, schema=schema.title if schema else "",
                signer=batch.header.verifier, epoch=EPOCH, sequence=batch.header.sequence,
                received_at=batch.header.issued_at, file_digest=Hash32(stored.sha256),
            )  # fmt: skip


def _prepare(ledger: Ledger, evidence: LargeEvidence, uids: list[Hash32]) -> None:
    """What workers find out about registrations ahead of the computation."""
    of_uid = dict(zip(uids, evidence.registrations, strict=True))
    for shard in shards_of(uids):
        items_ = tuple(
            SignedRegistration(uid=uid, registration=of_uid[uid], signature=bytes(SIGNATURE_BYTES))
            for uid in shard.uids
        )
        content = VerifiedRegistrations(items=items_, signed=frozenset(shard.uids)).to_parquet()
        with ledger.database.transaction() as session:
            parts.keep_part(session, KIND, shard.shards, shard.number, shard.inputs, content)


def _judgement(evidence: LargeEvidence, uids: list[Hash32]) -> Judgement:
    log = VerdictLog()
    for uid, registration in zip(uids, evidence.registrations, strict=True):
        log.item(ItemKind.REGISTRATION, uid, registration.operator, "")
    for batch in evidence.batches:
        title = batch.header.schema.title if batch.header.schema else ""
        log.item(ItemKind.BATCH, batch.uid, batch.header.verifier, "", schema=title)
    used = UsedRegister.empty()
    return Judgement(
        accepted=evidence.accepted, verdicts=log.frame(), used_after=used, used_ranges_root=used.root(), gpu_holders={},
        evidence_root=root_of_digests(batch.uid for batch in evidence.batches),
        registrations_root=root_of_digests(uids),
    )  # fmt: skip


def _freeze(ledger: Ledger, evidence: LargeEvidence, count: int) -> None:
    policy = policy_rows.StoredPolicy(
        version=1, effective_epoch=EPOCH, policy_hash=policy_hash(POLICY), policy=POLICY, block=1
    )
    with ledger.database.transaction() as session:
        standing = epochs.open_epoch(session, EPOCH, recorded_at=_AT)
        digest = policy_rows.record_tables(session, TABLES, recorded_at=_AT)
        policy_rows.record_policy(session, policy, recorded_at=_AT)
        roles = ledger.artefacts.write(EPOCH, standing.attempt, "roles.json", evidence.roles.to_json())
        ledger.artefacts.record(session, EPOCH, standing.attempt, roles, _AT)
        facts = {
            "rolesBlock": 1, "rolesBlockHash": to_hex(keccak256(b"roles block")), "policyVersion": 1,
            "policyHash": to_hex(policy.policy_hash), "tablesHash": to_hex(digest),
            "lastArrival": items.last_arrival(session), "itemCount": count, "leftOut": [],
            "itemsRoot": to_hex(bytes(32)),
        }  # fmt: skip
        epochs.record_transition(session, standing, EpochState.FROZEN, facts=facts, recorded_at=_AT)


def _compute(ledger: Ledger, judgement: Judgement) -> None:
    opening = Opening(rollover_in_wei=Wei(0), carried_in_ug=MicrogramsCo2e(0))
    allocation = rules_for(TABLES.rules_version).allocate(judgement.accepted, POLICY, TABLES, opening)
    contents = {
        "verdicts.parquet": _parquet(judgement.verdicts),
        "statements.parquet": sealed_statements(allocation.statements),
        "hours-refused.parquet": _parquet(allocation.hours_refused),
        "zone-hours.parquet": _parquet(allocation.zone_hours),
        "claims-credited.parquet": _parquet(judgement.accepted.claims),
        "used-ranges.parquet": judgement.used_after.to_parquet(),
    }
    files = [ledger.artefacts.write(EPOCH, epochs.FIRST_ATTEMPT, name, content) for name, content in contents.items()]
    accepted = {("item", ""): judgement.verdicts.height}
    with ledger.database.transaction() as session:
        standing = epochs.lock_epoch(session, EPOCH, expected=EpochState.FROZEN)
        for file in files:
            ledger.artefacts.record(session, EPOCH, standing.attempt, file, _AT)
        epochs.record_verdict_counts(session, EPOCH, standing.attempt, accepted)
        facts = computed_facts(judgement, allocation, opening)
        epochs.record_transition(session, standing, EpochState.COMPUTED, facts=facts, recorded_at=_AT)


def _activate(ledger: Ledger) -> None:
    """SEALED to FINAL as the follower books it, at a block that is nowhere."""
    point = ChainPoint(
        chain_id=31_337, block=100, block_hash=keccak256(b"block"), block_time=_AT,
        transaction=keccak256(b"activation"), log=0,
    )  # fmt: skip
    with ledger.database.transaction() as session:
        standing = epochs.lock_epoch(session, EPOCH, expected=EpochState.SEALED)
        header = header_of(session, EPOCH)
        statements = statements_of(ledger.artefacts, session, EPOCH, standing.attempt)
        payouts = {total.operator: total.pay_wei for total in operator_totals(statements)}
        entry = journal.append(
            session,
            activation_entry(
                epoch=EPOCH, attempt=standing.attempt, payouts=payouts, carbon_wei=header.carbon,
                reserve_wei=header.reserve, header_hash=header_hash(header), at=point,
            ),
            recorded_at=_AT,
        )  # fmt: skip
        for state in (EpochState.PROPOSED, EpochState.ACTIVE):
            standing = epochs.record_transition(session, standing, state, facts={}, recorded_at=_AT)
        facts = {
            "block": 100, "transaction": to_hex(point.transaction), "entryHash": to_hex(entry.hash),
            "lastRefusal": items.last_refusal(session),
        }  # fmt: skip
        epochs.record_transition(session, standing, EpochState.FINAL, facts=facts, recorded_at=_AT)


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.rechunk().write_parquet(buffer, compression="zstd", compression_level=3, statistics=False)
    return buffer.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--operators", type=int, default=OPERATORS)
    parser.add_argument("--database-url")
    options = parser.parse_args()
    made = load(options.folder, options.operators, options.database_url)
    print(f"{len(made.operators):,} synthetic operators with a node each, epoch {made.epoch} final")


if __name__ == "__main__":
    main()
