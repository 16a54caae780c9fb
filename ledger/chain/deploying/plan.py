"""What a deployment will do, transaction by transaction: addresses, policy, verifiers, roles and delays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ledger.chain.contracts.artefacts import (
    ACCESS_MANAGER,
    ATH_TOKEN,
    CARBON_VAULT,
    POLICY_REGISTRY,
    REWARDS_LEDGER,
    bytecode,
    interface,
)
from ledger.chain.contracts.policy_registry import policy_words
from ledger.chain.contracts.roles import Holder, Role, selectors_of
from ledger.chain.deploying.configuration import DeploymentConfig
from ledger.model.units import Address, Hash32
from ledger.tree.commitments import policy_hash
from ledger.tree.keccak import checksum_address, keccak256

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
