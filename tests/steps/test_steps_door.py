"""The door knows the roles of an epoch as soon as its roles block is final: strangers fill no disk (R1.3, R3.2)."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from ledger.chain.errors import ChainUnreachableError
from ledger.chain.local.demo_time import DemoTime
from ledger.chain.node.connection import Finality
from ledger.db import epochs, items
from ledger.demo.worked_example import WorkedExample
from ledger.evidence.items.batch import SignedBatch
from ledger.evidence.items.revocation import WHOLE_BATCH, Revocation, sign_revocation
from ledger.evidence.storage.store import ItemKind
from ledger.model.clock import FixedClock
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber, Timestamp
from ledger.rehearsal import Rehearsal
from ledger.steps.answers.batch_standing import batch_status
from ledger.steps.intake.collect import submit_item
from ledger.steps.kept.door_roles import MAX_BOOKS, PATIENCE_SECONDS, DoorRoles
from ledger.steps.ledger import Ledger
from ledger.steps.settlement import Settlement
from ledger.steps.transitions.freeze import freeze
from ledger.tree.standard import root_of_digests

EPOCH = EpochNumber(0)


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    rehearsal = Rehearsal.create(tmp_path_factory.mktemp("door") / "ledger", WorkedExample())
    yield rehearsal
    rehearsal.stop()


@pytest.fixture(scope="module")
def attested(rehearsal: Rehearsal) -> Iterator[Ledger]:
    ledger = rehearsal.deploy(lambda _: None)
    rehearsal.register(ledger)
    delivery = rehearsal.attest(ledger, EPOCH)
    assert not delivery.refused
    yield ledger
    ledger.close()


def stranger_batch(ledger: Ledger, who: bytes) -> SignedBatch:
    """Right in itself, and signed by somebody without any role."""
    return next(WorkedExample(seed=who).batches(EPOCH, ledger.domain))


def another(ledger: Ledger, settlement: Settlement | None = None, at: Timestamp | None = None) -> Ledger:
    """The same ledger with a door that knows nothing yet and sees the chain as told: None is a dead node."""

    def unreachable() -> Settlement:
        raise ChainUnreachableError("the node does not answer")

    return Ledger(
        database=ledger.database,
        evidence=ledger.evidence,
        artefacts=ledger.artefacts,
        clock=ledger.clock if at is None else FixedClock(at),
        calendar=ledger.calendar,
        domain=ledger.domain,
        connect=unreachable if settlement is None else lambda: settlement,
    )


def test_a_stranger_is_refused_at_the_door_and_nothing_of_it_is_stored(attested: Ledger) -> None:
    batch = stranger_batch(attested, b"stranger")
    receipt = submit_item(attested, batch)
    assert (receipt.is_admitted, receipt.code) == (False, "batch.role")
    assert not attested.evidence.exists(ItemKind.BATCH, batch.uid)
    with attested.database.reading() as session:
        assert items.find(session, batch.uid) is None
        (refusal,) = [each for each in items.refusals(session, epoch=EPOCH) if each.uid == batch.uid]
    assert refusal.code == "batch.role"


def test_a_chain_that_does_not_answer_shuts_no_door(attested: Ledger) -> None:
    receipt = submit_item(another(attested), stranger_batch(attested, b"while the node is down"))
    assert receipt.is_admitted


def test_roles_that_are_not_final_yet_are_not_held_against_anybody(attested: Ledger) -> None:
    settlement = replace(attested.settlement(), finality=Finality(depth=10**6))
    receipt = submit_item(another(attested, settlement), stranger_batch(attested, b"before finality"))
    assert receipt.is_admitted


def test_a_dead_node_is_asked_once_in_a_while_and_a_living_one_once_an_epoch(attested: Ledger) -> None:
    asked: list[Timestamp] = []
    door, start = DoorRoles(), attested.calendar.start(EPOCH)

    def dead() -> Settlement:
        asked.append(Timestamp(0))
        raise ChainUnreachableError("the node does not answer")

    def alive() -> Settlement:
        asked.append(Timestamp(1))
        return attested.settlement()

    now = attested.clock.now()
    for after in (0, 1, PATIENCE_SECONDS - 1, PATIENCE_SECONDS):
        assert door.known(EPOCH, start, Timestamp(now + after), attested.database, dead) is None
    assert asked == [0, 0]
    later = Timestamp(now + 2 * PATIENCE_SECONDS)
    books = [door.known(EPOCH, start, later, attested.database, alive) for _ in range(3)]
    assert asked == [0, 0, 1]
    assert books[0] is not None
    assert books[0].holders(next(iter(books[0].in_epoch(EPOCH)))[0], EPOCH)
    for number in range(2 * MAX_BOOKS):
        door.known(EpochNumber(number), start, later, attested.database, alive)
    assert len(door._books) == MAX_BOOKS


@pytest.mark.parametrize("epoch", [7, 2**40])
def test_an_epoch_that_is_not_open_costs_no_question(attested: Ledger, epoch: int) -> None:
    batch = stranger_batch(attested, b"elsewhen")
    header = replace(batch.header, epoch=EpochNumber(epoch))
    asked: list[Ledger] = []

    def connect() -> Settlement:
        asked.append(attested)
        return attested.settlement()

    ledger = another(attested)
    ledger.connect = connect
    receipt = submit_item(ledger, replace(batch, header=header))
    assert not receipt.is_admitted
    assert not asked


def test_a_stranger_who_was_taken_in_shapes_no_epoch_and_neither_do_its_revocations(attested: Ledger) -> None:
    """R3.15: the frozen set is the one of a door that knew the roles."""
    batch = stranger_batch(attested, b"taken in")
    (stranger,) = [each for each in WorkedExample(seed=b"taken in").verifiers if each.address == batch.header.verifier]
    revocation = sign_revocation(
        attested.domain,
        stranger.signer,
        Revocation(batch_uid=batch.uid, record=WHOLE_BATCH, reason=1, revoked_at=attested.clock.now()),
    )
    for item in (batch, revocation):
        assert submit_item(another(attested), item).is_admitted
    DemoTime(attested.settlement().connection).jump_to(Timestamp(attested.calendar.cut_off(EPOCH) + 1))
    freeze(attested, EPOCH)
    with attested.database.reading() as session:
        arrived = items.frozen_items(
            session, epoch=EPOCH, start=attested.calendar.start(EPOCH), last_arrival=items.last_arrival(session)
        )
        facts = epochs.facts(session, EPOCH, EpochState.FROZEN)
        refusals = {each.uid: each.code for each in items.refusals(session, epoch=EPOCH)}
    known = {verifier.address for verifier in WorkedExample().verifiers}
    kept = [item.uid for item in arrived if item.kind == ItemKind.REGISTRATION or item.signer in known]
    assert {batch.uid, revocation.uid} <= {item.uid for item in arrived} - set(kept)
    assert facts["itemsRoot"] == "0x" + root_of_digests(kept).hex()
    assert facts["itemCount"] == len(kept)
    assert facts["leftOut"] == sorted("0x" + item.uid.hex() for item in arrived if item.uid not in kept)
    assert refusals[batch.uid] == "batch.role"
    assert refusals[revocation.uid] == "revocation.unknown-batch"
    standing = batch_status(attested, batch.uid)
    assert (standing["standing"], standing["code"]) == ("admitted", "batch.role")
