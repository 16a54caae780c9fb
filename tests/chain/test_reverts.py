"""A refusal is read in the contract's own words, whichever library it comes from."""

import subprocess
import sys

import pytest
from eth_abi.abi import encode

from ledger.chain.contracts.artefacts import ALL_CONTRACTS, ArtefactMissingError, bytecode, interface, is_code_of
from ledger.chain.contracts.reverts import as_refusal, decode_revert, revert_data
from ledger.chain.deploying.bootstrap import deploy
from ledger.chain.errors import CallRevertedError, RpcError
from ledger.chain.local.anvil import AnvilProcess
from ledger.chain.local.demo_time import DemoTime
from ledger.chain.node.connection import connect
from ledger.chain.sending.fees import FeePolicy
from ledger.chain.sending.signer import KeySigner
from ledger.tree.keccak import keccak256

THREE = ["uint256"] * 3


def custom(signature: str, types: list[str], values: list[object]) -> bytes:
    return keccak256(signature.encode())[:4] + encode(types, values)


@pytest.mark.parametrize(
    ("data", "code", "reason"),
    [
        (b"", "revert.empty", "reverted without a reason"),
        (custom("Error(string)", ["string"], ["no funds"]), "revert.Error", "no funds"),
        (custom("Panic(uint256)", ["uint256"], [0x11]), "revert.Panic", "Panic(0x11: arithmetic overflow)"),
        (
            custom("WrongEpoch(uint256,uint256)", ["uint256", "uint256"], [3, 7]),
            "revert.WrongEpoch",
            "WrongEpoch(expected=3, given=7)",
        ),
        (
            custom("OutOfBounds(string,uint256,uint256,uint256)", ["string", *THREE], ["reserveBps", 9, 0, 3]),
            "revert.OutOfBounds",
            "OutOfBounds(parameter=reserveBps, value=9, min=0, max=3)",
        ),
        (
            custom("AccessManagedUnauthorized(address)", ["address"], ["0x" + "ab" * 20]),
            "revert.AccessManagedUnauthorized",
            "AccessManagedUnauthorized(caller=0xabABaBAbABababaBAbABababABABaBABaBAbabab)",
        ),
        (custom("TransferFailed()", [], []), "revert.TransferFailed", "TransferFailed()"),
        (
            custom("ERC20InsufficientBalance(address,uint256,uint256)", ["address", *THREE[:2]], [b"\1" * 20, 1, 2]),
            "revert.ERC20InsufficientBalance",
            "ERC20InsufficientBalance(sender=0x0101010101010101010101010101010101010101, balance=1, needed=2)",
        ),
        (b"\xde\xad\xbe\xef\x01", "revert.unknown", "unknown error 0xdeadbeef01"),
    ],
)
def test_a_refusal_is_decoded(data: bytes, code: str, reason: str) -> None:
    found = decode_revert(data)
    assert (found.code, found.reason.lower()) == (code, reason.lower())
    assert found.hint


@pytest.mark.parametrize("data", ["0x4e487b71", {"data": "0x4e487b71"}])
def test_revert_bytes_are_found_however_the_node_wraps_them(data: object) -> None:
    assert revert_data(RpcError("eth_call: execution reverted", rpc_code=3, data=data)) == b"\x4e\x48\x7b\x71"


def test_a_node_error_that_is_no_revert_stays_a_node_error() -> None:
    error = RpcError("eth_call: header not found", rpc_code=-32000, message="header not found")
    assert as_refusal(error, "the call") is error
    refused = as_refusal(RpcError("x", rpc_code=3, message="execution reverted"), "the call")
    assert isinstance(refused, CallRevertedError)
    assert refused.exit_code == 7


@pytest.mark.parametrize("contract", ALL_CONTRACTS)
def test_every_artefact_has_an_interface_and_bytecode(contract: str) -> None:
    assert interface(contract).functions
    assert len(bytecode(contract)) > 1000
    assert not is_code_of(contract, b"\x60\x00")


def test_a_missing_artefact_is_named() -> None:
    with pytest.raises(ArtefactMissingError, match=r"Nothing\.json"):
        interface("Nothing")


def test_reading_and_planning_never_import_web3() -> None:
    program = """
import sys
import ledger.chain.local.anvil, ledger.chain.deploying.bootstrap, ledger.chain.claims
import ledger.chain.following.follower, ledger.chain.sending.outbox
slow = {"web3", "polars"} & set(sys.modules)
import ledger.chain.following.governed
raise SystemExit(bool(slow) or "web3" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_same_deployment_on_two_chains_gives_the_same_block_hashes(make_config, make_funded) -> None:
    signer = KeySigner(b"\x44" * 32)
    heads = []
    for _ in range(2):
        with AnvilProcess.start(timestamp=1_686_787_200) as node:
            connection = connect(node.rpc_url)
            DemoTime(connection)
            make_funded(connection, signer)
            deploy(connection, signer, make_config(1_686_873_600), fees=FeePolicy.fixed_fees())
            heads.append(connection.head())
    assert heads[0] == heads[1]
