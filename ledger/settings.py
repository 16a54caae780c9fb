"""Settings of a ledger: the environment (`ATH_LEDGER_*`) over the workspace's `secrets.toml` over its `settings.toml`.

Private keys are never settings: they live in keystore files, and their passwords are read from a file at the moment of
signing. An address that carries a password or an access key belongs into `secrets.toml`, which only its owner may read;
settings are never printed without masking it.
"""

import ipaddress
import os
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ledger.model.durable import write_whole
from ledger.model.errors import UsageError
from ledger.telemetry.secrets import FILES, OPEN_ROADS, redact

SETTINGS_FILE = "settings.toml"
SECRETS_FILE = "secrets.toml"
PREFIX: Final = "ATH_LEDGER_"
_NO_SETTINGS: Final = frozenset(
    {"WORKSPACE", "URL", "ANVIL", "DEBUG", "FAULTPOINT", "SERVED_WORKSPACE", "NO_SKIPS", "RELIABILITY"}
)
"""What else is read from the environment under the prefix: by commands, between our processes, by tests."""


class Settings(BaseSettings):
    """What an operator may choose; every field is an environment variable `ATH_LEDGER_<NAME>` too."""

    model_config = SettingsConfigDict(env_prefix="ATH_LEDGER_", extra="forbid", frozen=True, hide_input_in_errors=True)

    database_url: str = ""
    """SQLAlchemy address; empty: the workspace's own SQLite file."""
    rpc_url: str = ""
    """The chain's JSON-RPC endpoints, commas between (in a file: a list); empty: the workspace's own Anvil."""
    clock: Literal["system", "chain"] = "system"
    """`chain` for a rehearsal whose time is its chain's last block (a demo of past days)."""
    publisher_keystore: str = ""
    """Keystore of the account that proposes and activates epochs; relative to the workspace."""
    publisher_password_file: str = ""
    fee_cap_gwei: int = Field(default=300, ge=1)
    """No transaction offers more for a unit of gas."""
    celery_broker_url: str = "memory://"
    """Where bells are rung: inside the process, or `redis://HOST`."""
    task_seconds: int = Field(default=600, ge=10)
    """A worker's task that takes longer is killed and rung for again."""
    redelivery_seconds: int = Field(default=3600, ge=20)
    """A message whose worker vanished goes to another one after so long; longer than `task_seconds`."""

    log_format: Literal["auto", "human", "json"] = "auto"
    """How log lines look; `auto`: for people on a terminal, JSON everywhere else."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_to: Literal["stderr", "folder"] = "stderr"
    """`folder`: the workspace's `logs/`, one file a program."""

    http_requests_per_second: int = Field(default=50, ge=0, le=1_000_000)
    """What one client of `serve` may ask for, on average; 0: no limit."""
    http_requests_burst: int = Field(default=200, ge=1, le=1_000_000)
    """How many requests a client that was quiet may make at once."""
    http_body_limit_mib: int = Field(default=64, ge=1, le=256)
    """The largest submission `serve` takes."""
    http_trusted_proxies: str = ""
    """Proxies before `serve`, addresses with commas between: their X-Forwarded-For says who asks."""

    @field_validator("rpc_url", mode="before")
    @classmethod
    def _joined(cls, value: Any) -> Any:
        """A list as the environment would write it: one form behind one word."""
        is_list = isinstance(value, list) and all(isinstance(each, str) for each in value)
        return ",".join(value) if is_list else value

    @field_validator("database_url", "rpc_url", "celery_broker_url")
    @classmethod
    def _whole(cls, value: str) -> str:
        """An address whose password is not percent-encoded falls apart, and its pieces would be shown as a host."""
        for address in value.split(","):
            _require_whole(address)
        return value

    @field_validator("celery_broker_url")
    @classmethod
    def _address(cls, value: str) -> str:
        if "://" not in value:
            raise ValueError("this is no address: redis://HOST:6379/0, or memory:// for ath-ledger run alone")
        return value

    @field_validator("http_trusted_proxies")
    @classmethod
    def _addresses(cls, value: str) -> str:
        for each in filter(None, (part.strip() for part in value.split(","))):
            try:
                ipaddress.ip_network(each, strict=False)
            except ValueError as error:
                raise ValueError("addresses or networks with commas between, as 10.0.0.7 or 10.0.0.0/24") from error
        return value

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Names and values with every password and access key masked."""
        yield from redact(dict(super().__repr_args__())).items()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the base class names all five
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file that `load_settings` points at."""
        return (env_settings, init_settings)


def load_settings(workspace: Path) -> Settings:
    """The workspace's settings. UsageError names the file or variable that cannot be read."""
    secrets = workspace / SECRETS_FILE
    if secrets.exists() and secrets.stat().st_mode & 0o077:
        raise UsageError(f"{secrets} is open to other users of this machine", hint=f"chmod 600 {secrets}")
    return chosen_settings(workspace, _values(workspace / SETTINGS_FILE) | _values(secrets))


def _values(file: Path) -> dict[str, Any]:
    """What a settings file says; nothing where there is none."""
    if not file.exists():
        return {}
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is not valid TOML: {error}", hint=f"correct {file}") from error


def chosen_settings(workspace: Path, values: Mapping[str, Any]) -> Settings:
    """These values with the environment over them, as the workspace's file would give them. UsageError."""
    file = workspace / SETTINGS_FILE
    _require_known(os.environ)
    try:
        return Settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise UsageError(
            f"setting {name}: {first['msg'].removeprefix('Value error, ')} (in {file} or {PREFIX}{name.upper()})",
            hint="see docs/reference/settings.md",
        ) from error


def _require_known(environment: Mapping[str, str]) -> None:
    """A name that is misspelled in a unit file would silently leave the default: UsageError names the nearest one."""
    known = _NO_SETTINGS | {name.upper() for name in Settings.model_fields}
    for variable in sorted(environment):
        name = variable.removeprefix(PREFIX)
        if variable.startswith(PREFIX) and name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {PREFIX}{near[0]}? " if near else ""
            raise UsageError(f"{variable} is no setting", hint=f"{hint}unset it; see docs/reference/settings.md")


def _require_whole(address: str) -> None:
    """ValueError, without a word of the address, unless user, password, host and port stand where they belong."""
    encoded = "percent-encode its user and password (@ is %40, : %3A, / %2F, # %23, ? %3F)"
    try:
        parts = urlsplit(address)
        kind = parts.scheme.split("+")[0]
        if kind in FILES:
            return
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"the address has no valid host and port: {encoded}") from error
    # nodes may have an @ in their path; no other server does
    after = "" if kind in OPEN_ROADS else parts.path + parts.query + parts.fragment
    if parts.netloc.count("@") > 1 or "@" in after:
        raise ValueError(f"the address has an @ too many: {encoded}")


def write_settings(workspace: Path, settings: Mapping[str, str | int]) -> None:
    """Write `settings.toml`, and what is secret into `secrets.toml` beside it, which only its owner may read.

    Both whole; the settings come last, for a workspace without them is not there yet.
    """
    secret = {name: value for name, value in settings.items() if isinstance(value, str) and redact(value) != value}
    if secret:
        heading = "# Addresses of this ledger that carry a password or an access key; they win over settings.toml."
        write_whole(workspace / SECRETS_FILE, _toml(heading, secret), mode=0o600)
    heading = "# Settings of this ledger; ATH_LEDGER_<NAME> in the environment wins. See docs/reference/settings.md."
    write_whole(workspace / SETTINGS_FILE, _toml(heading, {n: v for n, v in settings.items() if n not in secret}))


def _toml(heading: str, values: Mapping[str, str | int]) -> str:
    """The values as TOML; strings are quoted as basic strings."""
    quoted = {name: f'"{value}"' if isinstance(value, str) else str(value) for name, value in values.items()}
    return "\n".join([heading, *(f"{name} = {value}" for name, value in quoted.items()), ""])
