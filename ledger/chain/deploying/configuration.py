"""What is wanted of a deployment: checked when it is read."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from ledger.model.errors import UsageError
from ledger.model.policy import Policy
from ledger.model.units import ZERO_ADDRESS, Hash32, from_hex
from ledger.tree.abi import EncodingError
from ledger.tree.keccak import parse_address
from ledger.tree.parameters import policy_from_document

FOREVER: Final = 2**64 - 1
"""The last epoch a contract can name: a role without end."""


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
        from ledger.evidence.items.typed_data import schema_id, schema_titled  # brings Polars; only deploying needs it

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
