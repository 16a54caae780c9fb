"""Settings of a ledger, from the environment (`ATH_LEDGER_*`) over the workspace's `settings.toml`.

Secrets are never settings: keys live in keystore files, and a password is read from a file at the
moment of signing.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ledger.model.durable import write_whole
from ledger.model.errors import UsageError

SETTINGS_FILE = "settings.toml"


class Settings(BaseSettings):
    """What an operator may choose; every field is an environment variable `ATH_LEDGER_<NAME>` too."""

    model_config = SettingsConfigDict(env_prefix="ATH_LEDGER_", extra="forbid", frozen=True)

    database_url: str = ""
    """SQLAlchemy address; empty: the workspace's own SQLite file."""
    rpc_url: str = ""
    """The chain's JSON-RPC endpoint; empty: the workspace's own Anvil."""
    clock: Literal["system", "chain"] = "system"
    """`chain` for a rehearsal whose time is its chain's last block (a demo of past days)."""
    publisher_keystore: str = ""
    """Keystore of the account that proposes and activates epochs; relative to the workspace."""
    publisher_password_file: str = ""
    celery_broker_url: str = "memory://"
    """Where bells are rung: inside the process, or `redis://HOST`."""

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
    file = workspace / SETTINGS_FILE
    if not file.exists():
        return chosen_settings(workspace, {})
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is not valid TOML: {error}", hint=f"correct {file}") from error
    return chosen_settings(workspace, values)


def chosen_settings(workspace: Path, values: Mapping[str, Any]) -> Settings:
    """These values with the environment over them, as the workspace's file would give them. UsageError."""
    file = workspace / SETTINGS_FILE
    try:
        return Settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise UsageError(
            f"setting {name}: {first['msg']} (in {file} or ATH_LEDGER_{name.upper()})",
            hint="see docs/reference/settings.md",
        ) from error


def write_settings(workspace: Path, settings: Mapping[str, str | int]) -> None:
    """Write `settings.toml`, whole, with the given values; strings are quoted as TOML basic strings."""
    lines = ["# Settings of this ledger; ATH_LEDGER_<NAME> in the environment wins. See docs/reference/settings.md."]
    for name, value in settings.items():
        quoted = f'"{value}"' if isinstance(value, str) else str(value)
        lines.append(f"{name} = {quoted}")
    write_whole(workspace / SETTINGS_FILE, "\n".join(lines) + "\n")
