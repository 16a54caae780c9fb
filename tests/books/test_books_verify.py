"""A verifier without a database walks the entries it was given and names the first bad one."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from ledger.books.accounts import EMISSION, POOL, Asset, TransferCode
from ledger.books.errors import JournalBrokenError
from ledger.books.posting import Chain, EntryKind, Posting, entry_bytes, link
from ledger.books.transfers import Transfer
from ledger.books.verify import Head, JournalEntry, verify_journal
from ledger.model.units import ZERO_HASH, Hash32, Seq, Timestamp

Stored = tuple[JournalEntry, tuple[Transfer, ...]]


def journal(*chains: Chain) -> list[Stored]:
    """Entries as a database would hold them, one for each chain named."""
    heads = dict.fromkeys(Chain, Head())
    stored: list[Stored] = []
    for seq, chain in enumerate(chains, 1):
        number = heads[chain].number + 1
        posting = Posting(
            chain=chain, key=f"k/{seq}", kind=EntryKind.POLICY, effective_at=Timestamp(seq), body={"seq": seq},
            transfers=(Transfer(EMISSION, POOL, seq, Asset.ATH, TransferCode.BUDGET),),
        )  # fmt: skip
        encoded = entry_bytes(posting.content(), number)
        entry = JournalEntry(
            seq=Seq(seq), chain=chain, number=number, key=posting.key, kind=posting.kind,
            effective_at=posting.effective_at, canonical=encoded.canonical, body_hash=encoded.body_hash,
            previous_hash=heads[chain].hash, hash=link(chain, heads[chain].hash, encoded.canonical), transfer_count=1,
        )  # fmt: skip
        heads[chain] = Head(number=number, hash=entry.hash)
        stored.append((entry, posting.transfers))
    return stored


def mixed() -> list[Stored]:
    return journal(Chain.SEAL, Chain.LOG, Chain.LOG, Chain.SEAL, Chain.SEAL)


def bad_seq(stored: list[Stored], expected: dict[Chain, Head] | None = None) -> int:
    with pytest.raises(JournalBrokenError) as caught:
        verify_journal(stored, expected=expected)
    return caught.value.seq


def test_a_whole_journal_ends_in_both_heads() -> None:
    stored = mixed()
    heads = verify_journal(iter(stored))
    assert heads == {
        Chain.SEAL: Head(number=3, hash=stored[4][0].hash),
        Chain.LOG: Head(number=2, hash=stored[2][0].hash),
    }
    assert verify_journal(stored, expected=heads) == heads
    assert verify_journal([]) == dict.fromkeys(Chain, Head())


def test_a_head_in_the_middle_is_enough_and_another_one_is_not() -> None:
    stored = mixed()
    verify_journal(stored, expected={Chain.SEAL: Head(number=2, hash=stored[3][0].hash)})
    assert bad_seq(stored, {Chain.SEAL: Head(number=2, hash=ZERO_HASH)}) == 4
    assert bad_seq(stored[:3], {Chain.SEAL: Head(number=2, hash=stored[3][0].hash)}) == 4


def variants(stored: list[Stored]) -> Iterator[tuple[int, list[Stored]]]:
    for place in range(len(stored)):
        yield place + 1, stored[:place] + stored[place + 1 :] + ([] if place < len(stored) - 1 else mixed()[:1])
        yield place + 1, [*stored[:place], (stored[place][0], ()), *stored[place + 1 :]]
    for place in range(len(stored) - 1):
        yield place + 1, [*stored[:place], stored[place + 1], stored[place], *stored[place + 2 :]]


def test_what_is_missing_emptied_or_swapped_is_named() -> None:
    for bad, broken in variants(mixed()):
        assert bad_seq(broken) == bad


def test_an_entry_moved_to_the_other_chain_is_named() -> None:
    stored = journal(Chain.SEAL, Chain.SEAL)
    entry, transfers = stored[1]
    moved = entry._replace(
        chain=Chain.LOG, number=1, previous_hash=ZERO_HASH, hash=link(Chain.LOG, ZERO_HASH, entry.canonical)
    )
    assert bad_seq([stored[0], (moved, transfers)]) == 2


def test_a_key_booked_twice_is_named() -> None:
    stored = journal(Chain.SEAL)
    first, transfers = stored[0]
    posting = Posting(
        chain=Chain.LOG, key=first.key, kind=EntryKind.POLICY, effective_at=Timestamp(1), body={}, transfers=transfers
    )
    encoded = entry_bytes(posting.content(), 1)
    again = first._replace(
        seq=Seq(2), chain=Chain.LOG, canonical=encoded.canonical, body_hash=encoded.body_hash,
        hash=Hash32(link(Chain.LOG, ZERO_HASH, encoded.canonical)),
    )  # fmt: skip
    assert bad_seq([*stored, (again, transfers)]) == 2


def test_the_books_need_no_database_and_no_chain() -> None:
    script = (
        "import sys, ledger.books.verify, ledger.books.log_entries, ledger.books.trial_balance;"
        "sys.exit(bool({'sqlalchemy', 'web3', 'polars'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
