"""An auditor walks a ledger epoch by epoch, with nothing but what it computed itself."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from ledger.audit.epoch_record import EpochRecord, Inheritance, ParentEpoch
from ledger.audit.verification import verify_epoch
from ledger.demo.network import DemoNetwork
from ledger.evidence.judging.used_ranges import UsedRegister
from ledger.model.units import EpochNumber

SealEpoch = Callable[[DemoNetwork, EpochNumber, Inheritance], EpochRecord]
EPOCHS = 3


@pytest.fixture(scope="module")
def walked(seal_demo_epoch: SealEpoch) -> list[tuple[EpochRecord, Inheritance]]:
    """Verified epochs of a small demo network, each with what it was given; fails at the first that does not verify."""
    network = DemoNetwork(nodes=24, operators=6)
    left = Inheritance(parent=ParentEpoch(), used=UsedRegister.empty(), gpu_holders={})
    epochs = []
    for number in range(EPOCHS):
        record = seal_demo_epoch(network, EpochNumber(number), left)
        epochs.append((record, left))
        report = verify_epoch(record)
        report.require()
        assert report.inheritance is not None
        left = report.inheritance
    return epochs


def test_every_epoch_verifies_with_what_the_one_before_left(walked: list[tuple[EpochRecord, Inheritance]]) -> None:
    """R5.7, R2.23, E2.8: openings, used certificates, claim trees and headers chain."""
    assert len(walked) == EPOCHS
    for (before, _), (after, _) in pairwise(walked):
        assert after.header.parent_hash == before.on_chain_header_hash
        assert after.manifest.previous_seal == before.seal.hash
        assert after.manifest.carried_in_ug == before.totals.carried_out_ug
        assert dict(after.leaves).keys() >= dict(before.leaves).keys()
    assert all(record.totals.payout_wei > 0 for record, _ in walked)


def test_the_used_certificates_grow(walked: list[tuple[EpochRecord, Inheritance]]) -> None:
    assert len({record.manifest.used_ranges_root for record, _ in walked}) == EPOCHS


def test_an_epoch_skipped_is_found(walked: list[tuple[EpochRecord, Inheritance]]) -> None:
    """The last epoch held against what the first, not the second, left."""
    record, _ = walked[2]
    _, too_early = walked[1]
    frozen = replace(record.evidence, used=too_early.used, previous_holders=too_early.gpu_holders)
    report = verify_epoch(replace(record, parent=too_early.parent, evidence=frozen))
    assert {"claims.leaves", "manifest", "header"} <= {check.name for check in report.failed}
