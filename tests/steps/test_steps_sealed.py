"""The claim tree that stands for a sealed epoch: the stored one, the corrected one, and never one that was changed."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import servers
from sqlalchemy import event

from ledger.books.posting import Chain, EntryKind, Posting
from ledger.db import corrections, epochs, journal
from ledger.db.corrections import StoredCorrection, correction_key
from ledger.db.engine import Database, open_database
from ledger.model.epoch import EpochState
from ledger.model.errors import InvariantError, MismatchError
from ledger.model.header import EpochHeader
from ledger.model.units import Address, EpochNumber, Hash32, MicrogramsCo2e, Timestamp, Wei, to_hex
from ledger.steps.kept.artefacts import ArtefactFolder
from ledger.steps.kept.remembered import Remembered
from ledger.steps.recorded.operator_proof import NothingEarnedError, proof_of
from ledger.steps.recorded.sealed import header_document, tree_of
from ledger.tree.commitments import header_hash
from ledger.tree.payout import payout_tree
from ledger.tree.standard import leaf_hash, verify_proof

EPOCH, AT = EpochNumber(0), Timestamp(1_700_000_000)
OPERATORS = [Address(bytes([number]) * 20) for number in range(1, 40)]
EARNED = {operator: Wei(1000 + place) for place, operator in enumerate(OPERATORS)}
CORRECTED = {**EARNED, OPERATORS[3]: Wei(1), Address(b"\xee" * 20): Wei(7)}
SOME = Hash32(b"\x07" * 32)


class Sealed:
    """A ledger with one final epoch, as far as its tree is concerned."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database, self.folder = database, folder
        self.ledger: Any = SimpleNamespace(database=database, artefacts=ArtefactFolder(folder), remembered=Remembered())
        tree = payout_tree(list(EARNED), list(EARNED.values()))
        self.header = EpochHeader(
            epoch=EPOCH, claim_root=tree.root, ledger_head=SOME, policy_hash=SOME, manifest_hash=SOME,
            parent_hash=SOME, payout=Wei(sum(EARNED.values())), carbon=Wei(0), reserve=Wei(0), rollover=Wei(0),
            residual_micrograms=MicrogramsCo2e(0),
        )  # fmt: skip
        facts = {"header": header_document(self.header), "headerHash": to_hex(header_hash(self.header))}
        with database.transaction() as session:
            standing = epochs.open_epoch(session, EPOCH, recorded_at=AT)
            file = self.ledger.artefacts.write(EPOCH, standing.attempt, "tree.bin", tree.to_bytes())
            self.ledger.artefacts.record(session, EPOCH, standing.attempt, file, AT)
            for state in (EpochState.SEALED, EpochState.FINAL):
                standing = epochs.record_transition(session, standing, state, facts=facts, recorded_at=AT)
        self.place = folder / file.path

    def correct(self, leaves: dict[Address, Wei], *, number: int = 1) -> None:
        """Book a correction as its announcement and its entry would."""
        root = payout_tree(list(leaves), list(leaves.values())).root
        with self.database.transaction() as session:
            booked = journal.append(
                session,
                Posting(
                    chain=Chain.SEAL, key=correction_key(EPOCH, number), kind=EntryKind.CORRECTION, effective_at=AT,
                    body={"number": number}, transfers=(),
                ),
                recorded_at=AT,
            )  # fmt: skip
            header = replace(self.header, claim_root=root, ledger_head=booked.hash)
            corrections.record(
                session,
                StoredCorrection(
                    epoch=EPOCH, number=number, header_hash=header_hash(header), ledger_head=booked.hash,
                    header=header_document(header), leaves=leaves, reason="one meter counted twice",
                ),
                recorded_at=AT,
            )  # fmt: skip


@pytest.fixture(params=["sqlite", "postgresql"])
def sealed(
    request: pytest.FixtureRequest, tmp_path: Path, migrated: Callable[[str], tuple[str | None, str]]
) -> Iterator[Sealed]:
    server, template = migrated(request.param)
    database = open_database(servers.new_place(request.param, tmp_path, server, template))
    yield Sealed(database, tmp_path / "ledger")
    database.close()


def test_every_operators_proof_leads_to_the_sealed_root(sealed: Sealed) -> None:
    for operator, amount in EARNED.items():
        found = proof_of(sealed.ledger, operator).leaf
        assert (found.cumulative_wei, found.root) == (amount, sealed.header.claim_root)
        leaf = leaf_hash(bytes(12) + operator + amount.to_bytes(32, "big"))
        assert verify_proof(sealed.header.claim_root, leaf, found.proof)
    with pytest.raises(NothingEarnedError):
        proof_of(sealed.ledger, Address(b"\xee" * 20))


def test_a_correction_stands_from_the_moment_it_is_booked_and_the_later_one_over_it(sealed: Sealed) -> None:
    assert proof_of(sealed.ledger, OPERATORS[3]).leaf.cumulative_wei == EARNED[OPERATORS[3]]
    for number, leaves in enumerate((CORRECTED, {OPERATORS[0]: Wei(5)}), start=1):
        sealed.correct(leaves, number=number)
        root = payout_tree(list(leaves), list(leaves.values())).root
        for operator, amount in leaves.items():
            found = proof_of(sealed.ledger, operator, EPOCH).leaf
            assert (found.cumulative_wei, found.root) == (amount, root)
    with pytest.raises(NothingEarnedError):
        proof_of(sealed.ledger, OPERATORS[3])


def test_a_proof_takes_two_questions_to_the_database(sealed: Sealed) -> None:
    proof_of(sealed.ledger, OPERATORS[0], EPOCH)
    asked: list[str] = []
    event.listen(sealed.database.engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
    proof_of(sealed.ledger, OPERATORS[1], EPOCH)
    assert len([statement for statement in asked if statement.startswith("SELECT")]) == 2, asked


def test_a_tree_file_that_was_changed_proves_nothing(sealed: Sealed) -> None:
    proof_of(sealed.ledger, OPERATORS[0])
    content = bytearray(sealed.place.read_bytes())
    content[-1] ^= 1
    sealed.place.unlink()
    sealed.place.write_bytes(content)
    with pytest.raises(MismatchError, match="recorded was"):
        proof_of(sealed.ledger, OPERATORS[0])


def test_a_tree_with_another_root_than_its_header_proves_nothing(sealed: Sealed) -> None:
    other = replace(sealed.header, claim_root=SOME)
    with sealed.database.transaction() as session:
        facts = {"header": header_document(other)}
        epochs.record_transition(
            session, epochs.current(session, EPOCH), EpochState.SEALED, facts=facts, recorded_at=AT
        )
    with sealed.database.reading() as session, pytest.raises(InvariantError, match="another root than its header"):
        tree_of(sealed.ledger, session, EPOCH)
