"""What `init` writes: settings for everybody, addresses with a password for their owner alone."""

from pathlib import Path

from ledger.settings import SECRETS_FILE, SETTINGS_FILE, load_settings, write_settings


def test_an_address_with_a_password_goes_into_a_file_of_its_own(tmp_path: Path) -> None:
    given: dict[str, str | int] = {
        "database_url": "postgresql://ledger:s3cret-word@db.example/books",
        "celery_broker_url": "redis://:other-s3cret@redis.example:6379/0",
        "rpc_url": "http://127.0.0.1:8545",
        "clock": "chain",
        "task_seconds": 60,
    }
    write_settings(tmp_path, given)
    assert "s3cret" not in (tmp_path / SETTINGS_FILE).read_text()
    assert (tmp_path / SECRETS_FILE).stat().st_mode & 0o777 == 0o600
    loaded = load_settings(tmp_path)
    assert {name: getattr(loaded, name) for name in given} == given


def test_without_a_password_there_is_no_such_file(tmp_path: Path) -> None:
    write_settings(tmp_path, {"database_url": "postgresql://db.example/books"})
    assert not (tmp_path / SECRETS_FILE).exists()
    assert load_settings(tmp_path).database_url == "postgresql://db.example/books"
