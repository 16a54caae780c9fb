"""The ring: nobody checks their own, everybody has k checkers when there are k, nothing depends on order."""

import hashlib
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.evidence.judging.ring import assign_checkers
from ledger.evidence.judging.roles import RoleBook, VerifierRole
from ledger.model.refusals import ItemRefusedError
from ledger.model.units import ZERO_ADDRESS, Address, Hash32
from ledger.tree.keccak import keccak256

BLOCK = Hash32(hashlib.sha256(b"block").digest())
SCHEMA = Hash32(bytes(31) + b"\1")


def address(number: int, kind: str = "checker") -> Address:
    return Address(hashlib.sha256(f"{kind} {number}".encode()).digest()[:20])


def role(number: int, affiliation: Address = ZERO_ADDRESS, **changes: Any) -> VerifierRole:
    values: dict[str, Any] = {
        "schema_id": SCHEMA,
        "verifier": address(number),
        "affiliation": affiliation,
        "registry_ids": (),
        "from_epoch": 0,
        "until_epoch": 9,
        "order": number,
    }
    return VerifierRole(**{**values, **changes})


def plainly(epoch: int, checkers: list[VerifierRole], node: bytes, operator: bytes, k: int) -> list[bytes]:
    """The rule word for word, for one node."""

    def word(value: bytes) -> bytes:
        return value.rjust(32, b"\0")

    seed = keccak256(epoch.to_bytes(32, "big") + BLOCK)
    ring = sorted(checkers, key=lambda held: keccak256(seed + word(held.verifier)))
    start = keccak256(seed + node)
    from_there = [held for held in ring if keccak256(seed + word(held.verifier)) >= start]
    around = from_there + [held for held in ring if held not in from_there]
    return [held.verifier for held in around if operator not in (held.affiliation, held.verifier)][:k]


@settings(max_examples=60, deadline=None)
@given(
    affiliations=st.lists(st.integers(-1, 2), max_size=9),
    nodes=st.lists(st.integers(0, 3), min_size=1, max_size=8),
    k=st.integers(1, 6),
    epoch=st.integers(0, 2**40),
    shuffle=st.randoms(),
)
def test_every_node_gets_the_checkers_the_rule_names(
    affiliations: list[int], nodes: list[int], k: int, epoch: int, shuffle: Any
) -> None:
    checkers = [
        role(number, ZERO_ADDRESS if operator < 0 else address(operator, "operator"))
        for number, operator in enumerate(affiliations)
    ]
    rows = [(hashlib.sha256(bytes([at])).digest(), address(operator, "operator")) for at, operator in enumerate(nodes)]
    frame = pl.DataFrame(rows, schema={"node_id": pl.Binary, "operator": pl.Binary}, orient="row")
    shuffled = list(checkers)
    shuffle.shuffle(shuffled)
    assignment = assign_checkers(epoch, BLOCK, shuffled, frame, k)  # type: ignore[arg-type]
    for node, operator in rows:
        got = assignment.filter(pl.col("node_id") == node)["verifier"].to_list()
        assert got == plainly(epoch, checkers, node, operator, k)
        free = [held for held in checkers if held.affiliation != operator]
        assert len(got) == min(k, len(free))
        assert all(held.affiliation != operator for held in checkers if held.verifier in got)


def test_an_operator_never_checks_its_own_node_even_without_a_stated_affiliation() -> None:
    frame = pl.DataFrame({"node_id": [bytes(32)], "operator": [address(0)]})
    assignment = assign_checkers(0, BLOCK, [role(0), role(1)], frame, 5)  # type: ignore[arg-type]
    assert assignment["verifier"].to_list() == [address(1)]


def test_another_epoch_or_block_assigns_other_checkers() -> None:
    nodes = pl.DataFrame({"node_id": [bytes([at]) * 32 for at in range(50)], "operator": [address(0, "operator")] * 50})
    checkers = [role(number) for number in range(20)]
    first = assign_checkers(1, BLOCK, checkers, nodes, 5)  # type: ignore[arg-type]
    assert not first.equals(assign_checkers(2, BLOCK, checkers, nodes, 5))  # type: ignore[arg-type]
    assert not first.equals(assign_checkers(1, SCHEMA, checkers, nodes, 5))  # type: ignore[arg-type]


def test_the_entry_with_the_greatest_from_epoch_counts_and_the_later_call_wins_a_tie() -> None:
    operator = address(0, "operator")
    book = RoleBook([role(0, order=1), role(0, operator, order=2), role(0, from_epoch=5, order=0)])
    held = {epoch: book.holders(SCHEMA, epoch) for epoch in (0, 4, 5, 9, 10)}  # type: ignore[arg-type]
    assert held[0][0].order == held[4][0].order == 2
    assert held[5][0].order == held[9][0].order == 0
    assert held[10] == ()


def test_an_ended_entry_does_not_let_an_older_one_return() -> None:
    book = RoleBook([role(0, until_epoch=100, order=0), role(0, from_epoch=3, until_epoch=2, order=1)])
    assert len(book.holders(SCHEMA, 2)) == 1  # type: ignore[arg-type]
    assert book.holders(SCHEMA, 3) == ()  # type: ignore[arg-type]


def test_a_role_book_survives_its_json_and_its_order_is_the_calls() -> None:
    roles = [role(0, until_epoch=2**64 - 1), role(1, registry_ids=(SCHEMA, BLOCK))]
    book = RoleBook(reversed(roles))
    assert book.roles == tuple(roles)
    assert RoleBook.from_json(book.to_json()) == book
    assert RoleBook.from_json(book.to_json()).to_json() == book.to_json()


@pytest.mark.parametrize("content", [b"", b"{}", b"[{}]", b'[{"order":1}]', b"[1]"])
def test_json_that_is_no_role_book_is_refused(content: bytes) -> None:
    with pytest.raises(ItemRefusedError):
        RoleBook.from_json(content)


def test_two_calls_cannot_have_one_order() -> None:
    with pytest.raises(ItemRefusedError):
        RoleBook([role(0), role(0, from_epoch=1)])
