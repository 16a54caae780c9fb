"""What a posting says is what is hashed; the worked example's money is booked to the wei."""

import hashlib
import json
from dataclasses import replace

import pytest

from ledger.books.accounts import (
    CARBON_OWED,
    CARBON_PAID_FOR,
    CARBON_PENDING,
    EMISSION,
    POOL,
    RESERVE_PENDING,
    Asset,
    TransferCode,
    pending,
)
from ledger.books.errors import PostingError
from ledger.books.posting import Chain, EntryKind, Posting, content_hash, entry_bytes, link
from ledger.books.seal_entries import OperatorLines, seal_entry, supersede_entry
from ledger.books.transfers import Transfer, transfers_digest
from ledger.books.trial_balance import sum_transfers, trial_balance
from ledger.model.allocation import Totals
from ledger.model.units import ZERO_HASH, Address, EpochNumber, Hash32, MicrogramsCo2e, Timestamp, Wei

A, B, C = (Address(bytes([value]) * 20) for value in (0xA1, 0xB2, 0xC3))
WORKED = Totals(
    epoch=EpochNumber(0),
    budget_wei=Wei(10**21),
    rollover_in_wei=Wei(0),
    reserve_wei=Wei(10**20),
    carbon_wei=Wei(4872637928000000000),
    pool_wei=Wei(895127362072000000000),
    payout_wei=Wei(895127362072000000000),
    rollover_out_wei=Wei(0),
    sum_weight=14527876371016000,
    left_over_wei=1,
    location_ug=MicrogramsCo2e(5503969350),
    residual_ug=MicrogramsCo2e(6090797410),
    carried_in_ug=MicrogramsCo2e(0),
    carried_out_ug=MicrogramsCo2e(0),
)
"""The totals of the worked example (rewards spec, worked example), its three nodes with one operator each."""
LINES = [
    OperatorLines(
        operator=C, base_wei=Wei(74948657614619965944), efficiency_wei=Wei(1501446457993681777),
        green_wei=Wei(2630473036300316944),
    ),
    OperatorLines(
        operator=A, base_wei=Wei(492915737558358476770), efficiency_wei=Wei(94991270532083937133),
        green_wei=Wei(133715223790406137427),
    ),
    OperatorLines(
        operator=B, base_wei=Wei(81947120604721394966), efficiency_wei=Wei(5576911292754314534),
        green_wei=Wei(6900521184761774505),
    ),
]  # fmt: skip

NEGATIVE = replace(LINES[0], base_wei=Wei(-1), green_wei=Wei(LINES[0].green_wei + LINES[0].base_wei + 1))
"""As much as the line it stands for, with one part below zero."""


def sealed(totals: Totals = WORKED, lines: list[OperatorLines] = LINES, attempt: int = 1) -> Posting:
    return seal_entry(
        totals=totals, attempt=attempt, manifest_hash=Hash32(b"\x01" * 32), claim_root=Hash32(b"\x02" * 32),
        lines=lines, effective_at=Timestamp(86_400),
    )  # fmt: skip


def test_the_worked_example_is_booked_to_the_wei() -> None:
    balances = {account: balance.net for account, balance in sum_transfers(sealed().transfers).items()}
    assert balances[pending(A)] == 721622231880848551330
    assert balances[pending(B)] == 94424553082237484005
    assert balances[pending(C)] == 79080577108913964665
    assert balances[CARBON_PENDING] == 4872637928000000000
    assert balances[RESERVE_PENDING] == 100000000000000000000
    assert balances[EMISSION] == -(10**21)
    assert balances[POOL] == 0
    assert (balances[CARBON_OWED], balances[CARBON_PAID_FOR]) == (0, 6090797410)
    assert trial_balance(sum_transfers(sealed().transfers), at_seal=True).is_balanced


def test_anybody_can_sum_what_green_cost() -> None:
    green = sum(transfer.amount for transfer in sealed().transfers if transfer.code is TransferCode.GREEN)
    assert green == sum(line.green_wei for line in LINES)


def test_the_order_of_the_lines_changes_no_byte() -> None:
    assert sealed(lines=LINES[::-1]) == sealed()
    assert entry_bytes(sealed(lines=LINES[::-1]).content(), 1) == entry_bytes(sealed().content(), 1)


@pytest.mark.parametrize(
    ("totals", "lines"),
    [
        (replace(WORKED, payout_wei=Wei(WORKED.payout_wei + 1)), LINES),
        (WORKED, LINES[:2]),
        (WORKED, [*LINES, replace(LINES[0], base_wei=Wei(0), efficiency_wei=Wei(0), green_wei=Wei(0))]),
        (WORKED, [NEGATIVE, *LINES[1:]]),
        (replace(WORKED, carried_out_ug=MicrogramsCo2e(WORKED.residual_ug + 1)), LINES),
    ],
    ids=["does-not-conserve", "operator-missing", "operator-twice", "negative-line", "carries-more-than-owed"],
)  # fmt: skip
def test_a_seal_that_does_not_add_up_is_refused(totals: Totals, lines: list[OperatorLines]) -> None:
    with pytest.raises(PostingError):
        sealed(totals, lines)


def test_the_bytes_of_an_entry_are_canonical_json_and_its_hash_is_spelled_out() -> None:
    """Written out once by hand, so that nobody changes the hashed bytes without noticing."""
    posting = Posting(
        chain=Chain.LOG, key="k/1", kind=EntryKind.SUSPENSE, effective_at=Timestamp(7), body={"z": 2**53 + 1, "a": [1]},
        transfers=(Transfer("suspense", "corrections", 2**70, Asset.ATH, TransferCode.SUSPENSE),),
    )  # fmt: skip
    line = b"suspense\tcorrections\tATH\t1180591620717411303424\tsuspense\n"
    digest = hashlib.sha256(b"\x02" + line).hexdigest()
    told = (
        '{"body":{"a":[1],"z":"9007199254740993"},"chain":"log","effectiveAt":7,"key":"k/1","kind":"suspense",'
        '%s"transferCount":1,"transfersDigest":"0x' + digest + '","version":1}'
    )
    encoded = entry_bytes(posting.content(), 12)
    assert encoded.canonical == (told % '"number":12,').encode()
    assert encoded.body_hash == hashlib.sha256((told % "").encode()).digest()
    previous = Hash32(b"\x05" * 32)
    assert link(Chain.LOG, previous, encoded.canonical) == (
        hashlib.sha256(b"\x01" + b"log" + previous + encoded.canonical).digest()
    )


def test_the_same_bytes_hash_differently_in_the_other_chain_and_after_another_entry() -> None:
    canonical = b"{}"
    hashes = {link(chain, previous, canonical) for chain in Chain for previous in (ZERO_HASH, Hash32(b"\x01" * 32))}
    assert len(hashes) == 4


def test_a_digest_covers_every_field_and_the_order() -> None:
    first = Transfer(EMISSION, POOL, 5, Asset.ATH, TransferCode.BUDGET)
    second = first._replace(amount=6)
    others = [first._replace(**change) for change in ({"debit": POOL}, {"credit": EMISSION}, {"amount": 50},
              {"asset": Asset.UGCO2E}, {"code": TransferCode.BASE})]  # type: ignore[arg-type] # fmt: skip
    digests = {transfers_digest([first]), *(transfers_digest([other]) for other in others)}
    digests |= {transfers_digest([first, second]), transfers_digest([second, first]), transfers_digest([])}
    assert len(digests) == 9


@pytest.mark.parametrize(
    "wrong",
    [
        Transfer(EMISSION, POOL, 0, Asset.ATH, TransferCode.BUDGET),
        Transfer(EMISSION, POOL, -1, Asset.ATH, TransferCode.BUDGET),
        Transfer(EMISSION, POOL, 2**256, Asset.ATH, TransferCode.BUDGET),
        Transfer(EMISSION, POOL, True, Asset.ATH, TransferCode.BUDGET),
        Transfer(EMISSION, POOL, 1.0, Asset.ATH, TransferCode.BUDGET),  # type: ignore[arg-type]
        Transfer(EMISSION, CARBON_OWED, 1, Asset.ATH, TransferCode.BUDGET),
        Transfer(EMISSION, POOL, 1, Asset.UGCO2E, TransferCode.BUDGET),
        Transfer(POOL, POOL, 1, Asset.ATH, TransferCode.BASE),
        Transfer(POOL, EMISSION, 1, Asset.ATH, TransferCode.BASE),
        Transfer("operator/0x" + "a1" * 20 + "/claimed", POOL, 1, Asset.ATH, TransferCode.CLAIM),
        Transfer(POOL, "operator/0x" + "A1" * 20 + "/pending", 1, Asset.ATH, TransferCode.BASE),
        Transfer(POOL, "operator/*/pending", 1, Asset.ATH, TransferCode.BASE),
        Transfer(POOL, "operator/0x" + "a1" * 20 + "/savings", 1, Asset.ATH, TransferCode.BASE),
        Transfer(POOL, "petty cash", 1, Asset.ATH, TransferCode.BASE),
    ],
    ids=["zero", "negative", "too-large", "bool", "float", "across-assets", "wrong-asset", "to-itself",
         "credits-emission", "debits-claimed", "upper-case", "wildcard", "unknown-kind", "unknown-account"],
)  # fmt: skip
def test_a_transfer_outside_the_chart_is_refused(wrong: Transfer) -> None:
    with pytest.raises(PostingError):
        Posting(chain=Chain.SEAL, key="k", kind=EntryKind.SEAL, effective_at=Timestamp(0), body={}, transfers=(wrong,))


def test_a_supersede_gives_no_more_than_it_takes() -> None:
    posting = supersede_entry(
        epoch=EpochNumber(3), correction=1, claim_root=Hash32(bytes(32)), parent_header=Hash32(bytes(32)),
        changes_wei={A: -10, B: 4, C: 7}, reason="wrong split", effective_at=Timestamp(0),
    )  # fmt: skip
    balances = sum_transfers(posting.transfers)
    assert balances["corrections"].net == -1  # the journal refuses this: below zero
    report = trial_balance(balances)
    assert not report.is_balanced
    assert any(violation.startswith("corrections") for violation in report.violations)


def test_a_body_hash_is_the_same_wherever_the_entry_stands() -> None:
    content = sealed().content()
    assert entry_bytes(content, 1).body_hash == entry_bytes(content, 9).body_hash == content_hash(content)
    assert json.loads(entry_bytes(content, 9).canonical)["number"] == 9
