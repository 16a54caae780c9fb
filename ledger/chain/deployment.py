"""A deployment: what is wanted (checked when it is read) and what is there (the file other commands read)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from ledger.chain.artefacts import (
    ACCESS_MANAGER,
    ALL_CONTRACTS,
    ATH_TOKEN,
    CARBON_VAULT,
    POLICY_REGISTRY,
    REWARDS_LEDGER,
    interface,
)
from ledger.chain.connection import BlockAt, Connection, Finality
from ledger.chain.contracts import (
    AccessManagerContract,
    CarbonVaultContract,
    PolicyRegistryContract,
    RewardsLedgerContract,
    TokenContract,
)
from ledger.chain.errors import CodeMissingError, OtherGenesisError, WrongChainError
from ledger.chain.follower import Followed
from ledger.model.durable import write_whole
from ledger.model.epoch import EpochCalendar
from ledger.model.errors import NotFoundError, UsageError
from ledger.model.policy import Policy
from ledger.model.units import ZERO_ADDRESS, Address, Hash32, Timestamp, from_hex, to_hex
from ledger.tree.abi import EncodingError
from ledger.tree.keccak import checksum_address, parse_address
from ledger.tree.parameters import policy_from_document

_RESTORE: Final = "put the file back from a backup: it never changes, and deploying again would make another ledger"
FOREVER: Final = 2**64 - 1
"""The last epoch a contract can name: a role without end."""
_FORMAT: Final = "ath-ledger-deployment/1"
FOLLOWED_CONTRACTS: Final = (REWARDS_LEDGER, POLICY_REGISTRY, CARBON_VAULT)
"""Whose events are followed; the token's transfers and the manager's operations are not."""


class DeploymentMissingError(NotFoundError):
    """There is no deployment here yet."""

    code = "deployment.missing"
    default_hint = "ath-ledger chain deploy --config FILE"


def _address(value: Any) -> Any:
    return parse_address(value) if isinstance(value, str) else value


def _hash(value: Any) -> Any:
    return from_hex(value, 32) if isinstance(value, str) else value


AddressText = Annotated[bytes, BeforeValidator(_address)]
HashText = Annotated[bytes, BeforeValidator(_hash)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class VerifierConfig(_Strict):
    """One verifier's role from epoch 0."""

    schema_name: Annotated[str, Field(alias="schema")]
    """uptime, energy, renewable or grid."""
    verifier: AddressText
    affiliation: AddressText = ZERO_ADDRESS
    registry_ids: list[HashText] = []
    until_epoch: Annotated[int, Field(ge=0, le=FOREVER)] = FOREVER

    @model_validator(mode="after")
    def _known_schema(self) -> Self:
        _ = self.schema_id
        return self

    @property
    def schema_id(self) -> Hash32:
        """The schema's id."""
        from ledger.evidence.typed_data import schema_id, schema_titled  # brings Polars; only deploying needs it

        schema = schema_titled(self.schema_name)
        if schema is None:
            raise ValueError(f"unknown schema {self.schema_name!r}")
        return schema_id(schema)


class RolesConfig(_Strict):
    """Who holds which role; every role needs a holder, or nobody could ever grant it in time."""

    publisher: Annotated[list[AddressText], Field(min_length=1)]
    guardian: Annotated[list[AddressText], Field(min_length=1)]
    governor: Annotated[list[AddressText], Field(min_length=1)]
    retirer: Annotated[list[AddressText], Field(min_length=1)]
    admin: Annotated[list[AddressText], Field(min_length=1)]
    """Who may change roles themselves, after the governance delay; usually the governor."""


class DeploymentConfig(_Strict):
    """Everything a deployment fixes. Times are Unix seconds, lengths seconds."""

    genesis: Annotated[int, Field(gt=0, multiple_of=3600)]
    epoch_length: Annotated[int, Field(gt=0, le=168 * 3600, multiple_of=3600)] = 86_400
    window: Annotated[int, Field(gt=0)] = 6 * 3600
    finality_depth: Annotated[int, Field(ge=0, le=10_000)] = 12
    governance_delay: Annotated[int, Field(ge=0, lt=2**32)] = 48 * 3600
    """How long governors and admins must announce what they do."""
    policy: Mapping[str, Any]
    """All parameters under the spec's names (`epochBudgetWei` …), big integers as decimal strings."""
    verifiers: list[VerifierConfig]
    treasury: AddressText
    reserve: AddressText
    roles: RolesConfig
    token: Literal["deploy"] | AddressText = "deploy"  # noqa: S105 - a word, no secret
    """An existing plain ERC-20, or a demo token of our own whose whole supply the treasury holds."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.window >= self.epoch_length:
            raise ValueError("window must be shorter than epoch_length")
        if self.treasury == self.reserve:
            raise ValueError("treasury and reserve must be two accounts")
        try:
            broken = list(policy_from_document(self.policy).violations())
        except EncodingError as error:
            raise ValueError(f"policy: {error.what}") from error
        if broken:
            raise ValueError(f"policy: {'; '.join(broken)}")
        return self

    @property
    def first_policy(self) -> Policy:
        """The policy of epoch 0."""
        return policy_from_document(self.policy)


def read_config(file: Path) -> DeploymentConfig:
    """The configuration in a JSON file. UsageError names the first field that is wrong."""
    try:
        return DeploymentConfig.model_validate(json.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}", hint="ath-ledger chain deploy --help") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise UsageError(f"{file}: {place}: {first['msg']}", hint=f"correct {file}") from error
    except ValueError as error:
        raise UsageError(f"{file} is no JSON: {error}", hint=f"correct {file}") from error


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
