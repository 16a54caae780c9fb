"""Where epochs stood, and the files each transition left: held against the journal, the outbox and each other."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.audit.comparison import Difference, shown
from ledger.books.seal_entries import seal_key
from ledger.books.verify import JournalEntry
from ledger.db import epochs, items, journal
from ledger.db import policies as policy_rows
from ledger.db.tables.artefacts import ArtefactRow
from ledger.db.tables.epochs import EpochEventRow, EpochRow, VerdictCountRow
from ledger.db.tables.settlement import OutboxIntent
from ledger.model.epoch import EpochState
from ledger.model.errors import LedgerError
from ledger.model.units import EpochNumber, to_hex
from ledger.steps.auditing.rows.faults import absent, foreign, gaps, unequal
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.frozen_set import frozen_set, left_out_of
from ledger.steps.recorded.sealed import header_of
from ledger.tree.canonical import canonical_json, parse_canonical
from ledger.tree.commitments import header_hash
from ledger.tree.standard import StandardTree

FILES: Final[Mapping[EpochState, frozenset[str]]] = {
    EpochState.FROZEN: frozenset({"roles"}),
    EpochState.COMPUTED: frozenset(
        {"verdicts", "statements", "hours-refused", "zone-hours", "claims-credited", "used-ranges", "gpu-holders"}
    ),
    EpochState.SEALED: frozenset({"tree"}),
}
"""What each transition leaves, by the name of its artefact."""
_FILE_NAMES: Final = {"roles": "roles.json", "tree": "tree.bin"}
_MAY_FOLLOW: Final[Mapping[EpochState, frozenset[EpochState]]] = {
    EpochState.OPEN: frozenset({EpochState.FROZEN}),
    EpochState.FROZEN: frozenset({EpochState.COMPUTED}),
    EpochState.COMPUTED: frozenset({EpochState.SEALED}),
    EpochState.SEALED: frozenset({EpochState.PROPOSED, EpochState.REVOKED, EpochState.FINAL}),
    # a proposal that came to nothing is made anew, and so is an activation
    EpochState.PROPOSED: frozenset({EpochState.ACTIVE, EpochState.REVOKED, EpochState.FINAL, EpochState.SEALED}),
    EpochState.ACTIVE: frozenset({EpochState.FINAL, EpochState.REVOKED, EpochState.PROPOSED}),
    EpochState.REVOKED: frozenset({EpochState.FROZEN}),
    EpochState.FINAL: frozenset({EpochState.PROPOSED}),  # its activation was taken back
}
"""A halt may come after any of them, and a resumption goes back to where it came from."""
_OUTBOX: Final = {EpochState.PROPOSED: "propose", EpochState.ACTIVE: "activate"}


def event_faults(ledger: Ledger, session: Session) -> Iterator[Difference]:
    """`epoch_events` and its projection `epochs`."""
    by_epoch: dict[int, list[EpochEventRow]] = {}
    for row in session.execute(select(EpochEventRow).order_by(EpochEventRow.epoch, EpochEventRow.number)).scalars():
        by_epoch.setdefault(row.epoch, []).append(row)
    standing = {row.epoch: row for row in session.execute(select(EpochRow)).scalars()}
    for epoch in sorted(by_epoch.keys() | standing.keys()):
        rows = by_epoch.get(epoch, [])
        if not rows or epoch not in standing:
            yield absent(f"{'epochs' if rows else 'epoch_events'}, epoch {epoch}")
            continue
        yield from gaps("epoch_events", f"number, epoch {epoch}", [row.number for row in rows], 1)
        last = rows[-1]
        expected = {"state": last.state, "attempt": last.attempt, "version": last.number, "reason": last.reason}
        yield from unequal(f"epochs, epoch {epoch}", expected, standing[epoch])
        yield from _order_faults(epoch, rows)
        for row in rows:
            yield from _event_faults(ledger, session, row)
        yield from _booked_faults(session, epoch, rows)


def artefact_faults(ledger: Ledger, session: Session) -> Iterator[Difference]:
    """`artefacts`: what every transition left, no more and no less, where it is always put, as long as it is."""
    expected: set[tuple[int, int, str]] = set()
    for row in session.execute(select(EpochEventRow)).scalars():
        kinds = FILES.get(EpochState(row.state), frozenset())
        expected |= {(row.epoch, row.attempt, kind) for kind in kinds}
    found = {(each.epoch, each.attempt, each.kind): each for each in session.execute(select(ArtefactRow)).scalars()}
    for key in sorted(expected | found.keys()):
        name = "artefacts, epoch {} attempt {} {}".format(*key)
        if key not in found:
            yield absent(name)
        elif key not in expected:
            yield foreign(name, "no transition left it")
        else:
            place = f"artefacts/{key[0]:08d}/{key[1]}/{_FILE_NAMES.get(key[2], f'{key[2]}.parquet')}"
            yield from unequal(name, {"path": place} | _size(ledger, session, key), found[key])


def _size(ledger: Ledger, session: Session, key: tuple[int, int, str]) -> dict[str, int]:
    """How long the file is; nothing where it cannot be read, which is a fault of its own."""
    try:
        return {"size": len(ledger.artefacts.mapped(session, EpochNumber(key[0]), key[1], key[2]).view)}
    except (LedgerError, OSError):
        return {}


def count_faults(session: Session) -> Iterator[Difference]:
    """`verdict_counts`: of attempts that were computed; that the counts are right is found by recomputing."""
    computed = {
        (row.epoch, row.attempt)
        for row in session.execute(select(EpochEventRow)).scalars()
        if row.state == EpochState.COMPUTED.value
    }
    for row in session.execute(select(VerdictCountRow)).scalars():
        if (row.epoch, row.attempt) not in computed or row.scope not in ("item", "record", "hour"):
            name = f"verdict_counts, epoch {row.epoch} attempt {row.attempt} {row.scope} {row.code}"
            yield foreign(name, "no computed attempt has it")


def _order_faults(epoch: int, rows: list[EpochEventRow]) -> Iterator[Difference]:
    attempt, before, was_halted = 1, None, False
    for row in rows:
        name = f"epoch_events, epoch {epoch} number {row.number}"
        state = EpochState(row.state)
        if state is EpochState.HALTED:
            was_halted = True
            if not row.reason:
                yield Difference(where=f"{name} · reason", expected="why it halted", found="''")
            continue
        was_taken_back = before in {EpochState.FINAL, EpochState.ACTIVE} and state is EpochState.PROPOSED
        if row.reason and not was_halted and not was_taken_back:
            yield Difference(where=f"{name} · reason", expected="''", found=shown(row.reason))
        was_halted = False
        allowed = {EpochState.OPEN} if before is None else {*_MAY_FOLLOW[before], before}
        if state not in allowed:
            yield Difference(where=f"{name} · state", expected=" or ".join(sorted(allowed)), found=state.value)
        if before is EpochState.REVOKED and state is EpochState.FROZEN:
            attempt += 1
        if row.attempt != attempt:
            yield Difference(where=f"{name} · attempt", expected=str(attempt), found=str(row.attempt))
        before = state


def _event_faults(ledger: Ledger, session: Session, row: EpochEventRow) -> Iterator[Difference]:
    name, state = f"epoch_events, epoch {row.epoch} number {row.number}", EpochState(row.state)
    try:
        facts: dict[str, Any] = json.loads(row.facts)
        if canonical_json(facts).decode() != row.facts:
            yield Difference(where=f"{name} · facts", expected="canonical JSON", found="another form")
        expected = _facts(ledger, session, row, state)
    except (LedgerError, ValueError, TypeError, KeyError) as error:
        yield Difference(where=f"{name} · facts", expected="facts of this transition", found=repr(error)[:200])
        return
    for fact, value in expected.items():
        if facts.get(fact) != value:
            yield Difference(where=f"{name} · facts · {fact}", expected=shown(value), found=shown(facts.get(fact)))


def _facts(ledger: Ledger, session: Session, row: EpochEventRow, state: EpochState) -> dict[str, Any]:
    """What a transition must have recorded, as far as something else says it, too, and recomputing does not."""
    epoch, attempt = EpochNumber(row.epoch), row.attempt
    is_last = attempt == epochs.current(session, epoch).attempt
    match state:
        case EpochState.FROZEN if is_last:
            return _frozen(ledger, session, epoch)
        case EpochState.SEALED if is_last:
            return _sealed(ledger, session, epoch, attempt)
        case EpochState.PROPOSED | EpochState.ACTIVE:
            key = _key_told(row, f"epoch/{epoch}/{_OUTBOX[state]}/{attempt}")
            query = select(OutboxIntent.nonce).where(OutboxIntent.key == key)
            return {"outboxKey": key, "nonce": session.execute(query).scalar_one_or_none()}
        case EpochState.FINAL:
            entry = _activation_told(session, row, f"epoch/{epoch}/activation/{attempt}")
            if entry is None:
                return {"entryHash": "an activation in the journal"}
            at = parse_canonical(entry.canonical)["body"]["at"]
            return {"entryHash": to_hex(entry.hash), "block": at["block"], "transaction": at["transaction"]}
        case _:
            return {}


def _key_told(row: EpochEventRow, key: str) -> str:
    """The outbox key the transition names, when it is this effect's: what came to nothing is retried under `key/n`."""
    told = str(json.loads(row.facts).get("outboxKey"))
    return told if told.startswith(f"{key}/") and told.removeprefix(f"{key}/").isdecimal() else key


def _activation_told(session: Session, row: EpochEventRow, key: str) -> JournalEntry | None:
    """The entry of the activation that the transition names; one that was booked anew has the key `key/again/n`."""
    told, again = json.loads(row.facts).get("entryHash"), 0
    found = first = journal.find(session, key)
    while found is not None and to_hex(found.hash) != told:
        again += 1
        found = journal.find(session, f"{key}/again/{again}")
    return found or first


def _frozen(ledger: Ledger, session: Session, epoch: EpochNumber) -> dict[str, Any]:
    facts = epochs.facts(session, epoch, EpochState.FROZEN)
    last = int(facts["lastArrival"])
    found = frozen_set(ledger, session, epoch, left_out_of(facts), last_arrival=last)
    policy = policy_rows.policy(session, int(facts["policyVersion"]))
    return {
        "itemCount": len(found),
        "lastArrival": _highest_arrival(session, epoch, last),
        "policyHash": to_hex(policy.policy_hash),
        "tablesHash": to_hex(policy.policy.tables_hash),
    }


def _highest_arrival(session: Session, epoch: EpochNumber, told: int) -> int:
    """Nobody says again how far the freeze saw; but no item of the epoch is later, and that arrival is there."""
    highest = items.last_arrival(session)
    later = [each.arrival for each in items.items(session, epoch=epoch, kind="batch") if each.arrival > told]
    return told if told <= highest and not later else highest


def _sealed(ledger: Ledger, session: Session, epoch: EpochNumber, attempt: int) -> dict[str, Any]:
    header = header_of(session, epoch)
    seal = journal.find(session, seal_key(epoch, attempt))
    return {
        "sealHash": to_hex(header.ledger_head),
        "sealNumber": None if seal is None else seal.number,
        "manifestHash": to_hex(header.manifest_hash),
        "claimRoot": to_hex(header.claim_root),
        "headerHash": to_hex(header_hash(header)),
        "leafCount": len(StandardTree.from_bytes(ledger.artefacts.read(session, epoch, attempt, "tree"))),
    }


def _booked_faults(session: Session, epoch: int, rows: list[EpochEventRow]) -> Iterator[Difference]:
    """What the journal has of the epoch, the events must have, too: a tail that was cut off here is found there."""
    states = {(row.state, row.attempt) for row in rows}
    for attempt in range(1, max(row.attempt for row in rows) + 2):
        for key, state in (
            (seal_key(EpochNumber(epoch), attempt), EpochState.SEALED),
            (f"epoch/{epoch}/activation/{attempt}", EpochState.FINAL),
        ):
            if (journal.find(session, key) is not None) is not ((state.value, attempt) in states):
                where = f"epoch_events, epoch {epoch} · {state} of attempt {attempt}"
                found = "a row" if (state.value, attempt) in states else "absent"
                yield Difference(where=where, expected=f"as the journal's {key}", found=found)
