"""Verifiers of a demonstration: keys, roles, and the chain of batches each signs in an epoch."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from ledger.demo.stream import labelled
from ledger.evidence.items.batch import SignedBatch, build_batch
from ledger.evidence.items.records import Window
from ledger.evidence.items.signing import KeySigner
from ledger.evidence.items.typed_data import Domain, Schema, schema_id
from ledger.evidence.judging.roles import RoleBook, VerifierRole
from ledger.model.epoch import EpochCalendar
from ledger.model.units import ZERO_ADDRESS, ZERO_HASH, Address, EpochNumber, Hash32, Timestamp

ISSUED_AFTER = 600
EXPIRES_AFTER_CUT_OFF = 86_400
LAST_EPOCH = EpochNumber(2**32 - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoVerifier:
    """One verifier and the role it has to be given on chain from epoch 0 on."""

    name: str
    schema: Schema
    signer: KeySigner
    affiliation: Address = ZERO_ADDRESS
    registry_ids: tuple[Hash32, ...] = ()

    @property
    def address(self) -> Address:
        """The account that signs."""
        return self.signer.address


class BatchChain:
    """One verifier's batches of one epoch, each naming the one before."""

    def __init__(self, verifier: DemoVerifier, domain: Domain, calendar: EpochCalendar, epoch: EpochNumber) -> None:
        self.batches: list[SignedBatch] = []
        self._verifier = verifier
        self._domain = domain
        self._calendar = calendar
        self._epoch = epoch

    @property
    def window(self) -> Window:
        """The whole epoch."""
        return Window(start=self._calendar.start(self._epoch), end=self._calendar.end(self._epoch))

    def add(self, records: pl.DataFrame, *, issued_at: Timestamp | None = None, skip: int = 0) -> SignedBatch:
        """Sign records as the next batch; `skip` leaves so many sequence numbers out."""
        batch = build_batch(
            self._domain,
            self._verifier.signer,
            self._verifier.schema,
            records,
            epoch=self._epoch,
            window=self.window,
            issued_at=issued_at or Timestamp(self.window.end + ISSUED_AFTER),
            expires_at=Timestamp(self._calendar.cut_off(self._epoch) + EXPIRES_AFTER_CUT_OFF),
            sequence=len(self.batches) + skip,
            previous_batch=self.batches[-1].uid if self.batches else ZERO_HASH,
        )
        self.batches.append(batch)
        return batch


def role_book(verifiers: Sequence[DemoVerifier]) -> RoleBook:
    """One role for each verifier, from epoch 0 for as long as any demonstration runs."""
    return RoleBook(
        VerifierRole(
            schema_id=schema_id(verifier.schema),
            verifier=verifier.address,
            affiliation=verifier.affiliation,
            registry_ids=verifier.registry_ids,
            from_epoch=EpochNumber(0),
            until_epoch=LAST_EPOCH,
            order=order,
        )
        for order, verifier in enumerate(verifiers)
    )


def demo_key(seed: bytes, *labels: int | str) -> bytes:
    """A private key anybody can derive from the seed: for demonstrations only."""
    return labelled(seed, "key", *labels)


def demo_signer(seed: bytes, *labels: int | str) -> KeySigner:
    """The signer of a derived key."""
    return KeySigner(demo_key(seed, *labels))


def checkers(seed: bytes, affiliations: Sequence[Address]) -> tuple[DemoVerifier, ...]:
    """One checker for each affiliation, the zero address for none."""
    return tuple(
        DemoVerifier(
            name=f"checker-{index}",
            schema=Schema.UPTIME,
            signer=demo_signer(seed, "checker", index),
            affiliation=affiliation,
        )
        for index, affiliation in enumerate(affiliations)
    )
