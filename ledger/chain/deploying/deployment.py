"""A deployment: the contracts as they are on one chain, and the file other commands read them from."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from ledger.chain.contracts.access_manager import AccessManagerContract
from ledger.chain.contracts.artefacts import (
    ACCESS_MANAGER,
    ALL_CONTRACTS,
    ATH_TOKEN,
    CARBON_VAULT,
    POLICY_REGISTRY,
    REWARDS_LEDGER,
    interface,
)
from ledger.chain.contracts.carbon_vault import CarbonVaultContract
from ledger.chain.contracts.followed import Followed
from ledger.chain.contracts.policy_registry import PolicyRegistryContract
from ledger.chain.contracts.rewards_ledger import RewardsLedgerContract
from ledger.chain.contracts.token import TokenContract
from ledger.chain.errors import CodeMissingError, OtherGenesisError, WrongChainError
from ledger.chain.node.connection import BlockAt, Connection, Finality
from ledger.model.durable import write_whole
from ledger.model.epoch import EpochCalendar
from ledger.model.errors import NotFoundError, UsageError
from ledger.model.units import Address, Hash32, Timestamp, from_hex, to_hex
from ledger.tree.keccak import checksum_address, parse_address

_RESTORE: Final = "put the file back from a backup: it never changes, and deploying again would make another ledger"
_FORMAT: Final = "ath-ledger-deployment/1"
FOLLOWED_CONTRACTS: Final = (REWARDS_LEDGER, POLICY_REGISTRY, CARBON_VAULT)
"""Whose events are followed; the token's transfers and the manager's operations are not."""


class DeploymentMissingError(NotFoundError):
    """There is no deployment here yet."""

    code = "deployment.missing"
    default_hint = "ath-ledger chain deploy --config FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The contracts as they are on one chain, and the terms that never change."""

    chain_id: int
    genesis_hash: Hash32
    """Hash of the chain's block 0: the same id with another history is another chain."""
    first_block: int
    """No event of these contracts is older."""
    addresses: Mapping[str, Address]
    code_hashes: Mapping[str, Hash32]
    """keccak256 of each contract's code as deployed."""
    genesis: Timestamp
    """Start of epoch 0."""
    epoch_length: int
    window: int
    finality_depth: int
    treasury: Address
    reserve: Address
    deployer: Address

    @property
    def calendar(self) -> EpochCalendar:
        """Which second belongs to which epoch."""
        return EpochCalendar(genesis=self.genesis, length=self.epoch_length)

    @property
    def finality(self) -> Finality:
        """When the books take a block as final."""
        return Finality(depth=self.finality_depth)

    @property
    def followed(self) -> Followed:
        """What the follower follows."""
        return Followed(
            contracts={self.addresses[name]: interface(name) for name in FOLLOWED_CONTRACTS},
            first_block=self.first_block,
        )

    @property
    def callable_code(self) -> Mapping[Address, Hash32]:
        """Code hash by address: what the outbox may call."""
        return {self.addresses[name]: self.code_hashes[name] for name in ALL_CONTRACTS}

    def rewards_ledger(self, connection: Connection) -> RewardsLedgerContract:
        """The contract that holds epochs and claims."""
        return RewardsLedgerContract(connection, self.addresses[REWARDS_LEDGER])

    def policy_registry(self, connection: Connection) -> PolicyRegistryContract:
        """The contract that holds policies and verifiers."""
        return PolicyRegistryContract(connection, self.addresses[POLICY_REGISTRY])

    def carbon_vault(self, connection: Connection) -> CarbonVaultContract:
        """The contract that holds the carve-out."""
        return CarbonVaultContract(connection, self.addresses[CARBON_VAULT])

    def token(self, connection: Connection) -> TokenContract:
        """The token rewards are paid in."""
        return TokenContract(connection, self.addresses[ATH_TOKEN])

    def access_manager(self, connection: Connection) -> AccessManagerContract:
        """The contract that holds roles and delays."""
        return AccessManagerContract(connection, self.addresses[ACCESS_MANAGER])

    def check(self, connection: Connection, at: BlockAt = "latest") -> None:
        """Raise unless the connection's chain holds exactly these contracts."""
        if connection.chain_id != self.chain_id:
            raise WrongChainError(f"the node serves chain {connection.chain_id}, deployed on chain {self.chain_id}")
        if connection.genesis_hash != self.genesis_hash:
            raise OtherGenesisError(
                f"the node's chain {connection.chain_id} starts with block {to_hex(connection.genesis_hash)}, "
                f"deployed on {to_hex(self.genesis_hash)}"
            )
        for name, address in self.addresses.items():
            if connection.code_hash(address, at) != self.code_hashes[name]:
                raise CodeMissingError(
                    f"{name} at {checksum_address(address)} does not have the code that was deployed"
                )

    def write(self, file: Path) -> None:
        """Write the deployment file whole or not at all."""
        document = {
            "format": _FORMAT,
            "chainId": self.chain_id,
            "genesisHash": to_hex(self.genesis_hash),
            "firstBlock": self.first_block,
            "contracts": {
                name: {"address": checksum_address(address), "codeHash": to_hex(self.code_hashes[name])}
                for name, address in self.addresses.items()
            },
            "genesis": self.genesis,
            "epochLength": self.epoch_length,
            "window": self.window,
            "finalityDepth": self.finality_depth,
            "treasury": checksum_address(self.treasury),
            "reserve": checksum_address(self.reserve),
            "deployer": checksum_address(self.deployer),
        }
        write_whole(file, json.dumps(document, indent=2) + "\n")

    @classmethod
    def read(cls, file: Path) -> Self:
        """The deployment in a file. Raises DeploymentMissingError, UsageError."""
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise DeploymentMissingError(f"{file} does not exist") from error
        except ValueError as error:
            raise UsageError(f"{file} is no JSON: {error}", hint=_RESTORE) from error
        try:
            if document["format"] != _FORMAT:
                raise UsageError(f"{file} has format {document['format']!r}, expected {_FORMAT!r}", hint=_RESTORE)
            contracts = {name: document["contracts"][name] for name in ALL_CONTRACTS}
            return cls(
                chain_id=int(document["chainId"]),
                genesis_hash=Hash32(from_hex(document["genesisHash"], 32)),
                first_block=int(document["firstBlock"]),
                addresses={name: parse_address(entry["address"]) for name, entry in contracts.items()},
                code_hashes={name: Hash32(from_hex(entry["codeHash"], 32)) for name, entry in contracts.items()},
                genesis=Timestamp(int(document["genesis"])),
                epoch_length=int(document["epochLength"]),
                window=int(document["window"]),
                finality_depth=int(document["finalityDepth"]),
                treasury=parse_address(document["treasury"]),
                reserve=parse_address(document["reserve"]),
                deployer=parse_address(document["deployer"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{file} is no deployment: {error!r}", hint=_RESTORE) from error
