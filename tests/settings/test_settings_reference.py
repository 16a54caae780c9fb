"""The settings' reference is what the program takes: names, defaults, and secrets in a file of their own."""

import os
import re
from pathlib import Path

import pytest

from ledger.model.errors import UsageError
from ledger.settings import SECRETS_FILE, SETTINGS_FILE, Settings, load_settings

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("ATH_LEDGER_"):
            monkeypatch.delenv(name)


def rows() -> dict[str, tuple[str, str]]:
    """Name → default and meaning, as the page's first table has them."""
    table = PAGE.read_text(encoding="utf-8").split("## ", 1)[0]
    found = re.findall(r"^\| `([a-z_]+)` \| (.+?) \| (.+?) \|$", table, re.MULTILINE)
    assert len(found) == len({name for name, _, _ in found})
    return {name: (default, meaning) for name, default, meaning in found}


def test_the_page_names_every_setting_with_its_default_and_a_meaning_and_no_other() -> None:
    written = rows()
    assert list(written) == list(Settings.model_fields)
    for name, field in Settings.model_fields.items():
        default, meaning = written[name]
        shown = "empty" if field.default == "" else str(field.default)
        assert default.strip("`") == shown, name
        assert len(meaning.split()) > 3, name


def test_secrets_have_a_file_of_their_own_that_wins_and_must_be_the_owners_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / SETTINGS_FILE).write_text('rpc_url = "http://plain"\nlog_level = "debug"\n')
    secrets = tmp_path / SECRETS_FILE
    secrets.write_text('rpc_url = "https://node.example/v3/key"\n')
    secrets.chmod(0o640)
    with pytest.raises(UsageError, match="open to other users") as caught:
        load_settings(tmp_path)
    assert caught.value.hint == f"chmod 600 {secrets}"
    secrets.chmod(0o600)
    settings = load_settings(tmp_path)
    assert (settings.rpc_url, settings.log_level) == ("https://node.example/v3/key", "debug")
    monkeypatch.setenv("ATH_LEDGER_RPC_URL", "http://environment")
    assert load_settings(tmp_path).rpc_url == "http://environment"


def test_several_endpoints_are_a_list_in_a_file_and_have_commas_between_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / SETTINGS_FILE).write_text('rpc_url = ["https://a/k1e2y3", "https://b"]\n')
    assert load_settings(tmp_path).rpc_url == "https://a/k1e2y3,https://b"
    assert "k1e2y3" not in str(load_settings(tmp_path))
    monkeypatch.setenv("ATH_LEDGER_RPC_URL", "http://c,http://d")
    assert load_settings(tmp_path).rpc_url == "http://c,http://d"


@pytest.mark.parametrize("field", ["log_level", "log_format", "log_to", "clock"])
def test_a_wrong_value_is_refused_by_name_and_not_repeated(tmp_path: Path, field: str) -> None:
    (tmp_path / SETTINGS_FILE).write_text(f'{field} = "hunter2"\n')
    with pytest.raises(UsageError, match=f"setting {field}") as caught:
        load_settings(tmp_path)
    assert "hunter2" not in str(caught.value)


def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / SECRETS_FILE).touch(mode=0o600)
    (tmp_path / SECRETS_FILE).write_text('database_password = "hunter2"\n')
    with pytest.raises(UsageError, match="setting database_password") as caught:
        load_settings(tmp_path)
    assert "hunter2" not in str(caught.value)
