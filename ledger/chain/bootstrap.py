"""From a configuration to contracts on a chain, once: before genesis, with policy, verifiers and roles in place.

Addresses follow from the deployer and its first nonce, so a plan can show them and a crash changes none.
Every signed transaction is in the progress file before it is sent; a second run sends the same bytes.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ledger.chain.artefacts import (
    ACCESS_MANAGER,
    ALL_CONTRACTS,
    ATH_TOKEN,
    CARBON_VAULT,
    POLICY_REGISTRY,
    REWARDS_LEDGER,
    bytecode,
    interface,
    is_code_of,
)
from ledger.chain.connection import Connection, Receipt
from ledger.chain.contracts import policy_words
from ledger.chain.deployment import Deployment, DeploymentConfig
from ledger.chain.errors import (
    CodeMissingError,
    NonceTakenError,
    RpcError,
    TransactionPendingError,
    TransactionRevertedError,
)
from ledger.chain.fees import FeePolicy
from ledger.chain.preflight import gas_limit
from ledger.chain.roles import Holder, Role, selectors_of
from ledger.chain.signer import Signer, Transaction
from ledger.db.faultpoint import faultpoint
from ledger.model.durable import write_whole
from ledger.model.errors import MismatchError, RefusedError, UsageError
from ledger.model.units import Address, EpochNumber, Hash32, Timestamp, from_hex, to_hex
from ledger.tree.commitments import policy_hash
from ledger.tree.keccak import checksum_address, keccak256

_PATIENCE_SECONDS: Final = 120
_UNLIMITED: Final = 2**256 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One transaction of the deployment."""

    name: str
    to: Address | None
    """None: creates the contract that bears the step's name."""
    calldata: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentPlan:
    """What `deploy` would do: nothing has been sent."""

    deployer: Address
    first_nonce: int
    addresses: Mapping[str, Address]
    steps: tuple[Step, ...]
    holders: tuple[Holder, ...]
    policy_hash: Hash32
    left_to_do: tuple[str, ...]
    """What the deployer cannot do itself."""


def plan(config: DeploymentConfig, deployer: Address, first_nonce: int = 0) -> DeploymentPlan:
    """The addresses, transactions, roles and delays a deployment will have."""
    addresses = _addresses(config, deployer, first_nonce)
    steps = [*_creations(config, deployer, addresses), *_settings(config, deployer, addresses)]
    left_to_do = []
    if config.treasury == deployer:
        approve = interface(ATH_TOKEN).encode("approve", addresses[REWARDS_LEDGER], _UNLIMITED)
        steps.append(Step(name="approve", to=addresses[ATH_TOKEN], calldata=approve))
    else:
        left_to_do.append(
            f"the treasury {checksum_address(Address(config.treasury))} must approve the RewardsLedger "
            f"{checksum_address(addresses[REWARDS_LEDGER])} for the token {checksum_address(addresses[ATH_TOKEN])}"
        )
    return DeploymentPlan(
        deployer=deployer,
        first_nonce=first_nonce,
        addresses=addresses,
        steps=tuple(steps),
        holders=_holders(config),
        policy_hash=policy_hash(config.first_policy),
        left_to_do=tuple(left_to_do),
    )


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


def create_address(creator: Address, nonce: int) -> Address:
    """Where a contract goes that an account creates with this nonce: the end of keccak256(rlp([creator, nonce]))."""
    number = nonce.to_bytes((nonce.bit_length() + 7) // 8, "big")
    encoded = number if len(number) == 1 and number[0] < 0x80 else bytes([0x80 + len(number)]) + number
    content = bytes([0x80 + len(creator)]) + creator + encoded
    return Address(keccak256(bytes([0xC0 + len(content)]) + content)[12:])


def _addresses(config: DeploymentConfig, deployer: Address, first_nonce: int) -> dict[str, Address]:
    nonce = first_nonce
    addresses = {ACCESS_MANAGER: create_address(deployer, nonce)}
    if isinstance(config.token, bytes):
        addresses[ATH_TOKEN] = Address(config.token)
    else:
        nonce += 1
        addresses[ATH_TOKEN] = create_address(deployer, nonce)
    addresses[POLICY_REGISTRY] = create_address(deployer, nonce + 1)
    addresses[REWARDS_LEDGER] = create_address(deployer, nonce + 2)
    addresses[CARBON_VAULT] = create_address(addresses[REWARDS_LEDGER], 1)  # created in its constructor
    return addresses


def _creations(config: DeploymentConfig, deployer: Address, addresses: Mapping[str, Address]) -> list[Step]:
    manager, token = addresses[ACCESS_MANAGER], addresses[ATH_TOKEN]
    steps = [_creation(ACCESS_MANAGER, deployer)]
    if config.token == "deploy":  # noqa: S105 - the word of the configuration
        steps.append(_creation(ATH_TOKEN, config.treasury))
    steps.append(_creation(POLICY_REGISTRY, manager, config.genesis, config.epoch_length))
    steps.append(
        _creation(
            REWARDS_LEDGER, manager, token, addresses[POLICY_REGISTRY], config.treasury, config.reserve, config.window
        )
    )
    return steps


def _creation(contract: str, *arguments: Any) -> Step:
    return Step(
        name=contract, to=None, calldata=bytecode(contract) + interface(contract).encode_constructor(*arguments)
    )


def _settings(config: DeploymentConfig, deployer: Address, addresses: Mapping[str, Address]) -> list[Step]:
    """First policy and verifiers while the deployer still may, then all roles and the hand-over in one transaction."""
    registry = interface(POLICY_REGISTRY)
    schedule = registry.encode("schedule", policy_words(config.first_policy), 0)
    steps = [Step(name="first policy", to=addresses[POLICY_REGISTRY], calldata=schedule)]
    for number, verifier in enumerate(config.verifiers):
        calldata = registry.encode(
            "setVerifier",
            verifier.schema_id,
            verifier.verifier,
            verifier.affiliation,
            verifier.registry_ids,
            0,
            verifier.until_epoch,
        )
        steps.append(
            Step(name=f"verifier {number} ({verifier.schema_name})", to=addresses[POLICY_REGISTRY], calldata=calldata)
        )
    manager = interface(ACCESS_MANAGER)
    inner = _role_calls(config, deployer, addresses)
    steps.append(Step(name="roles", to=addresses[ACCESS_MANAGER], calldata=manager.encode("multicall", inner)))
    return steps


def _role_calls(config: DeploymentConfig, deployer: Address, addresses: Mapping[str, Address]) -> list[bytes]:
    manager = interface(ACCESS_MANAGER)
    calls = [manager.encode("labelRole", role.value, role.name) for role in Role if role is not Role.ADMIN]
    for contract in (REWARDS_LEDGER, POLICY_REGISTRY, CARBON_VAULT):
        for role in Role:
            selectors = selectors_of(contract, role)
            if selectors:
                calls.append(manager.encode("setTargetFunctionRole", addresses[contract], selectors, role.value))
    # whoever may stop an epoch may also stop what a governor announced
    calls.append(manager.encode("setRoleGuardian", Role.GOVERNOR.value, Role.GUARDIAN.value))
    calls += [
        manager.encode("grantRole", holder.role.value, holder.account, holder.delay_seconds)
        for holder in _holders(config)
        if (holder.role, holder.account) != (Role.ADMIN, deployer)
    ]
    # a function's role must not change faster than its holders may act
    calls += [
        manager.encode("setTargetAdminDelay", addresses[contract], config.governance_delay)
        for contract in (REWARDS_LEDGER, POLICY_REGISTRY, CARBON_VAULT)
    ]
    # last, for after it the deployer may nothing, or nothing without delay
    if deployer in config.roles.admin:
        calls.append(manager.encode("grantRole", Role.ADMIN.value, deployer, config.governance_delay))
    else:
        calls.append(manager.encode("renounceRole", Role.ADMIN.value, deployer))
    return calls


def _holders(config: DeploymentConfig) -> tuple[Holder, ...]:
    wanted: Sequence[tuple[Role, Sequence[bytes], int]] = (
        (Role.PUBLISHER, config.roles.publisher, 0),
        (Role.GUARDIAN, config.roles.guardian, 0),
        (Role.GOVERNOR, config.roles.governor, config.governance_delay),
        (Role.RETIRER, config.roles.retirer, 0),
        (Role.ADMIN, config.roles.admin, config.governance_delay),
    )
    return tuple(
        Holder(role=role, account=Address(account), delay_seconds=delay)
        for role, accounts, delay in wanted
        for account in accounts
    )


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
