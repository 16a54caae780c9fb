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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("database_url", "postgresql://ledger:P@ssw/SECRET@127.0.0.1:5432/books"),
        ("database_url", "postgresql://ledger:SECRET/x@127.0.0.1/books"),
        ("database_url", "postgresql://ledger:12/SECRET@127.0.0.1/books"),
        ("celery_broker_url", "redis://:pa#SECRET@127.0.0.1:6379/0"),
        ("celery_broker_url", "SECRET"),
        ("rpc_url", "http://user:a@SECRET@node.example"),
        ("http_trusted_proxies", "SECRET"),
    ],
)
def test_an_address_that_falls_apart_is_refused_without_a_word_of_it(tmp_path: Path, name: str, value: str) -> None:
    (tmp_path / SETTINGS_FILE).write_text(f'{name} = "{value}"\n')
    with pytest.raises(UsageError) as caught:
        load_settings(tmp_path)
    assert str(caught.value).startswith(f"usage.invalid: setting {name}: ")
    assert not {"SECRET", "P@ssw", "pa#"} & set(re.findall(r"SECRET|P@ssw|pa#", str(caught.value)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("database_url", "postgresql+psycopg://ledger:p%40ss%2F@127.0.0.1:5432/books"),
        ("database_url", "postgresql:///books?host=/run/postgresql"),
        ("database_url", "sqlite:////srv/a@b/books.sqlite"),
        ("rpc_url", "https://one.example/v3/key@team,http://[::1]:8545"),
        ("celery_broker_url", "rediss://:p%23ss@cache.example:6379/0"),
        ("http_trusted_proxies", "10.0.0.7, 10.1.0.0/16,::1"),
    ],
)
def test_an_address_that_is_whole_is_taken(tmp_path: Path, name: str, value: str) -> None:
    (tmp_path / SETTINGS_FILE).write_text(f'{name} = "{value}"\n')
    assert getattr(load_settings(tmp_path), name) == value


def test_a_misspelled_variable_is_refused_with_the_one_that_was_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / SETTINGS_FILE).write_text("")
    monkeypatch.setenv("ATH_LEDGER_CELERY_BROKR_URL", "redis://127.0.0.1/0")
    with pytest.raises(UsageError, match="ATH_LEDGER_CELERY_BROKR_URL is no setting") as caught:
        load_settings(tmp_path)
    assert "did you mean ATH_LEDGER_CELERY_BROKER_URL?" in caught.value.hint


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
