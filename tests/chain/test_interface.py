"""Calls, events and errors go to bytes and back under the ledger's own names."""

import pytest

from ledger.chain.contracts.interface import AbiMismatchError, ContractInterface, snake
from ledger.model.units import Hash32
from ledger.tree.keccak import keccak256

HEADER = {
    "name": "header",
    "type": "tuple",
    "components": [{"name": "epoch", "type": "uint64"}, {"name": "claimRoot", "type": "bytes32"}],
}
INTERFACE = ContractInterface(
    "Sample",
    [
        {"type": "constructor", "inputs": [{"name": "genesis", "type": "uint64"}]},
        {
            "type": "function",
            "name": "claim",
            "inputs": [
                {"name": "account", "type": "address"},
                {"name": "cumulative", "type": "uint256"},
                {"name": "proof", "type": "bytes32[]"},
            ],
            "outputs": [{"name": "", "type": "uint256"}],
        },
        {"type": "function", "name": "propose", "inputs": [HEADER], "outputs": []},
        {
            "type": "event",
            "name": "EpochProposed",
            "inputs": [
                {"name": "epoch", "type": "uint64", "indexed": True},
                HEADER | {"indexed": False},
                {"name": "payee", "type": "address", "indexed": True},
            ],
        },
        {"type": "error", "name": "NothingToClaim", "inputs": [{"name": "account", "type": "address"}]},
    ],
)
ACCOUNT = bytes.fromhex("f39fd6e51aad88f6f4ce6ab8827279cfffb92266")


@pytest.mark.parametrize(
    ("solidity", "ours"),
    [
        ("claimRoot", "claim_root"),
        ("uMinPpm", "u_min_ppm"),
        ("t2QualityBps", "t2_quality_bps"),
        ("pueRefE4", "pue_ref_e4"),
        ("refEfMgPerKwh", "ref_ef_mg_per_kwh"),
        ("residualMicrograms", "residual_micrograms"),
        ("seconds_", "seconds"),
        ("policy", "policy"),
    ],
)
def test_names_become_the_ledgers_own(solidity: str, ours: str) -> None:
    assert snake(solidity) == ours


def test_calldata_begins_with_the_selector_everybody_computes() -> None:
    calldata = INTERFACE.encode("claim", ACCOUNT, 7, [b"\x01" * 32])
    assert calldata[:4] == keccak256(b"claim(address,uint256,bytes32[])")[:4]
    described = INTERFACE.describe(calldata)
    assert described is not None
    assert dict(described.arguments) == {"account": ACCOUNT, "cumulative": 7, "proof": (b"\x01" * 32,)}
    assert str(described).startswith(
        "claim(account=0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266, cumulative=7, proof=[0x01"
    )


def test_structs_are_named_in_events_wherever_the_indexed_arguments_stand() -> None:
    topics = [INTERFACE.events["EpochProposed"], Hash32((7).to_bytes(32, "big")), Hash32(bytes(12) + ACCOUNT)]
    event = INTERFACE.event(topics, (7).to_bytes(32, "big") + b"\x05" * 32)
    assert event is not None
    assert event.arguments == {"epoch": 7, "header": {"epoch": 7, "claim_root": b"\x05" * 32}, "payee": ACCOUNT}
    assert list(event.arguments) == ["epoch", "header", "payee"]


def test_struct_types_are_written_out_in_signatures() -> None:
    assert INTERFACE.selector("propose") == keccak256(b"propose((uint64,bytes32))")[:4]


@pytest.mark.parametrize(
    "values",
    [(ACCOUNT, -1, []), (ACCOUNT, 2**256, []), (ACCOUNT[1:], 1, []), (ACCOUNT, 1), (ACCOUNT, 1, [b"\x01" * 33])],
)
def test_what_does_not_fit_is_not_encoded(values: tuple[object, ...]) -> None:
    with pytest.raises(AbiMismatchError):
        INTERFACE.encode("claim", *values)


@pytest.mark.parametrize("answer", [b"", b"\x01" * 31])
def test_a_short_answer_is_a_mismatch_not_a_zero(answer: bytes) -> None:
    with pytest.raises(AbiMismatchError):
        INTERFACE.returned("claim", answer)


def test_an_unknown_function_is_named() -> None:
    with pytest.raises(AbiMismatchError, match="Sample has no function mint"):
        INTERFACE.encode("mint")


def test_foreign_calls_events_and_errors_are_none() -> None:
    assert INTERFACE.describe(b"\x00" * 40) is None
    assert INTERFACE.error(b"\x00" * 40) is None
    assert INTERFACE.event([Hash32(b"\x09" * 32)], b"") is None


def test_an_event_with_too_few_topics_is_a_mismatch() -> None:
    with pytest.raises(AbiMismatchError, match="indexed"):
        INTERFACE.event([INTERFACE.events["EpochProposed"]], b"")


def test_errors_read_as_their_author_wrote_them() -> None:
    data = keccak256(b"NothingToClaim(address)")[:4] + bytes(12) + ACCOUNT
    assert str(INTERFACE.error(data)) == "NothingToClaim(account=0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266)"
