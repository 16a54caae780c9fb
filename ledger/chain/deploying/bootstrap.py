"""From a configuration to contracts on a chain, once: before genesis, with policy, verifiers and roles in place.

Addresses follow from the deployer and its first nonce, so a plan can show them and a crash changes none.
Every signed transaction is in the progress file before it is sent; a second run sends the same bytes.
"""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ledger.chain.contracts.artefacts import (
    ALL_CONTRACTS,
    ATH_TOKEN,
    CARBON_VAULT,
    is_code_of,
)
from ledger.chain.deploying.configuration import DeploymentConfig
from ledger.chain.deploying.deployment import Deployment
from ledger.chain.deploying.plan import DeploymentPlan, Step, plan
from ledger.chain.errors import (
    CodeMissingError,
    NonceTakenError,
    RpcError,
    TransactionPendingError,
    TransactionRevertedError,
)
from ledger.chain.node.connection import Connection, Receipt
from ledger.chain.sending.fees import FeePolicy
from ledger.chain.sending.preflight import gas_limit
from ledger.chain.sending.signer import Signer, Transaction
from ledger.db.faultpoint import faultpoint
from ledger.model.durable import write_whole
from ledger.model.errors import MismatchError, RefusedError, UsageError
from ledger.model.units import Address, EpochNumber, Timestamp, from_hex, to_hex
from ledger.tree.keccak import checksum_address, keccak256

_PATIENCE_SECONDS: Final = 120


def deploy(
    connection: Connection,
    signer: Signer,
    config: DeploymentConfig,
    *,
    progress_file: Path | None = None,
    fees: FeePolicy | None = None,
    told: Callable[[str], None] | None = None,
) -> Deployment:
    """Deploy everything, or go on where a run with the same `progress_file` stopped.

    `told` hears the name of each step when it is mined. Raises RefusedError after genesis, UsageError when
    the progress file belongs to another deployment, TransactionRevertedError, NonceTakenError,
    TransactionPendingError (run it again), CodeMissingError.
    """
    progress = _Progress.open(progress_file, connection, signer.address, config)
    wanted = plan(config, signer.address, progress.first_nonce)
    if not progress.transactions and connection.head().timestamp >= config.genesis:
        raise RefusedError(
            f"the chain's time is past genesis {config.genesis}; the first policy could not be set any more",
            hint="choose a later genesis",
        )
    first_block = 0
    for number, step in enumerate(wanted.steps):
        receipt = _done(connection, signer, progress, number, step, fees or FeePolicy())
        first_block = first_block or receipt.block_number
        if step.to is None and not connection.code(wanted.addresses[step.name]):
            raise CodeMissingError(
                f"{step.name} was created, but not at {checksum_address(wanted.addresses[step.name])}"
            )
        if told is not None:
            told(step.name)
    return _inspected(connection, config, wanted, first_block)


@dataclass(slots=True, kw_only=True)
class _Progress:
    """Signed transactions so far, on disk before they are sent."""

    file: Path | None
    identity: dict[str, Any]
    first_nonce: int
    transactions: list[bytes]

    @classmethod
    def open(
        cls, file: Path | None, connection: Connection, deployer: Address, config: DeploymentConfig
    ) -> "_Progress":
        identity = {
            "config": hashlib.sha256(repr(config).encode()).hexdigest(),
            "chainId": connection.chain_id,
            "genesisHash": to_hex(connection.genesis_hash),
            "deployer": to_hex(deployer),
        }
        if file is None or not file.exists():
            return cls(file=file, identity=identity, first_nonce=connection.nonce(deployer), transactions=[])
        document = json.loads(file.read_text(encoding="utf-8"))
        if {name: document.get(name) for name in identity} != identity:
            raise UsageError(
                f"{file} belongs to another deployment (other configuration, chain or deployer)",
                hint=f"use the same configuration again, or remove {file} to deploy anew",
            )
        return cls(
            file=file,
            identity=identity,
            first_nonce=int(document["firstNonce"]),
            transactions=[from_hex(raw) for raw in document["transactions"]],
        )

    def add(self, raw: bytes) -> None:
        self.transactions.append(raw)
        if self.file is not None:
            document = self.identity | {
                "firstNonce": self.first_nonce,
                "transactions": [to_hex(each) for each in self.transactions],
            }
            write_whole(self.file, json.dumps(document, indent=2) + "\n")


def _done(
    connection: Connection, signer: Signer, progress: _Progress, number: int, step: Step, fees: FeePolicy
) -> Receipt:
    """The receipt of a step's one transaction, signed at most once."""
    nonce = progress.first_nonce + number
    if number == len(progress.transactions):
        gas = gas_limit(connection, signer.address, step.to, step.calldata)
        fee = fees.first(connection.head().base_fee_wei)
        signed = signer.sign(
            Transaction(
                chain_id=connection.chain_id,
                nonce=nonce,
                to=step.to,
                value_wei=0,
                calldata=step.calldata,
                gas=gas,
                max_fee_per_gas_wei=fee.max_fee_wei,
                max_priority_fee_per_gas_wei=fee.priority_fee_wei,
            )
        )
        progress.add(signed.raw)
        faultpoint("deploy.after_sign")
    raw = progress.transactions[number]
    receipt = _await(connection, signer.address, nonce, raw, step.name)
    faultpoint("deploy.after_receipt")
    if not receipt.succeeded:
        raise TransactionRevertedError(f"deployment step {step.name} was reverted (nonce {nonce})")
    return receipt


def _await(connection: Connection, sender: Address, nonce: int, raw: bytes, name: str) -> Receipt:
    tx_hash = keccak256(raw)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    sent = False
    while True:
        receipt = connection.receipts([tx_hash])[0]
        if receipt is not None:
            return receipt
        if not sent:
            if connection.nonce(sender) > nonce and connection.receipts([tx_hash])[0] is None:
                raise NonceTakenError(
                    f"nonce {nonce} of {checksum_address(sender)}, planned for {name}, was used before"
                )
            try:
                connection.broadcast(raw)
            except RpcError as error:
                known = ("already known", "already imported", "nonce too low")
                if not any(words in error.message.lower() for words in known):
                    raise
            sent = True
        if time.monotonic() > deadline:
            raise TransactionPendingError(f"deployment step {name} ({to_hex(tx_hash)}) is not mined yet")
        time.sleep(0.01)


def _inspected(
    connection: Connection, config: DeploymentConfig, wanted: DeploymentPlan, first_block: int
) -> Deployment:
    """Read back what counts, at one block, before anybody relies on it."""
    at = connection.head()
    for name, address in wanted.addresses.items():
        ours = name != ATH_TOKEN or config.token == "deploy"  # noqa: S105 - the word of the configuration
        if ours and not is_code_of(name, connection.code(address, at.hash)):
            raise CodeMissingError(f"the code of {name} at {checksum_address(address)} is not what its sources build")
    deployment = Deployment(
        chain_id=connection.chain_id,
        genesis_hash=connection.genesis_hash,
        first_block=first_block,
        addresses={name: wanted.addresses[name] for name in ALL_CONTRACTS},
        code_hashes={name: connection.code_hash(wanted.addresses[name], at.hash) for name in ALL_CONTRACTS},
        genesis=Timestamp(config.genesis),
        epoch_length=config.epoch_length,
        window=config.window,
        finality_depth=config.finality_depth,
        treasury=Address(config.treasury),
        reserve=Address(config.reserve),
        deployer=wanted.deployer,
    )
    if deployment.rewards_ledger(connection).vault(at.hash) != wanted.addresses[CARBON_VAULT]:
        raise MismatchError("the RewardsLedger's vault is not where it was planned")
    registry = deployment.policy_registry(connection)
    if registry.policy_hash_at(EpochNumber(0), at.hash) != wanted.policy_hash:
        raise MismatchError("epoch 0 has another policy than the configuration's")
    manager = deployment.access_manager(connection)
    for holder in wanted.holders:
        access = manager.access(holder.role, holder.account, at.hash)
        if not access.is_member or access.delay_seconds != holder.delay_seconds:
            raise MismatchError(f"{checksum_address(holder.account)} does not hold {holder.role.name} as planned")
    return deployment
