"""Verdicts stand in one order, whoever was judged first."""

from typing import Any

import pytest

from ledger.evidence.judging.verdicts import VERDICT_COLUMNS, VerdictLog
from ledger.evidence.storage.store import ItemKind
from ledger.model.errors import InvariantError
from ledger.model.units import ZERO_ADDRESS


def test_the_order_of_judging_does_not_show(world: Any) -> None:
    verdicts = [(kind, world.name32(str(number))) for kind in ItemKind for number in range(5)]
    frames = []
    for order in (verdicts, list(reversed(verdicts))):
        log = VerdictLog()
        for kind, uid in order:
            log.item(kind, uid, ZERO_ADDRESS, "batch.gap")
        frames.append(log.frame())
    assert frames[0].equals(frames[1])
    assert frames[0].columns == list(VERDICT_COLUMNS)


def test_a_code_nobody_registered_never_becomes_a_verdict(world: Any) -> None:
    log = VerdictLog()
    log.item(ItemKind.BATCH, world.name32("uid"), ZERO_ADDRESS, "batch.unheard-of")
    with pytest.raises(InvariantError, match=r"batch\.unheard-of"):
        log.frame()
