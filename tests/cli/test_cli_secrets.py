"""No command prints a password or an access key, whatever fails."""

from typing import Any

import pytest

SECRET = "hunter2Secret9"

_ADDRESSES = [
    ("DATABASE_URL", f"postgresql://ledger:{SECRET}@127.0.0.1:9/books"),
    ("DATABASE_URL", f"postgresql://ledger:{SECRET}@[broken/books"),
    ("DATABASE_URL", f"postgres//ledger:{SECRET}@db/books"),
    ("DATABASE_URL", f"mysql://ledger:{SECRET}@db/books"),
    ("DATABASE_URL", f"postgresql://127.0.0.1:9/books?user=u&password={SECRET}"),
    ("RPC_URL", f"http://127.0.0.1:9/v3/{SECRET}"),
    ("RPC_URL", f"http://user:{SECRET}@127.0.0.1:9/"),
    ("RPC_URL", f"http://127.0.0.1:9/?key={SECRET},http://127.0.0.1:9/{SECRET}"),
    ("RPC_URL", f"ftp://127.0.0.1/{SECRET}"),
    ("CELERY_BROKER_URL", f"redis://:{SECRET}@127.0.0.1:9/0"),
    ("CELERY_BROKER_URL", f"nonsense://:{SECRET}@127.0.0.1:9/0"),
    ("CELERY_BROKER_URL", f"redis://:{SECRET}@127.0.0.1:notaport/0"),
]


@pytest.mark.parametrize(("name", "address"), _ADDRESSES)
def test_a_failing_address_keeps_its_secret(
    example: Any, monkeypatch: pytest.MonkeyPatch, name: str, address: str
) -> None:
    monkeypatch.setenv(f"ATH_LEDGER_{name}", address)
    failed = 0
    for command in (
        ("doctor", "-o", "json"),
        ("db", "check"),
        ("epoch", "step", "1"),
        ("chain", "status"),
    ):
        code, out, err = example.do(*command)
        failed += code != 0
        assert SECRET not in out + err, command
        assert "Traceback" not in err, command
    assert failed


def test_a_setting_of_the_wrong_kind_is_refused_without_being_repeated(
    example: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TASK_SECONDS", "LOG_LEVEL", "CLOCK"):
        monkeypatch.setenv(f"ATH_LEDGER_{name}", SECRET)
        code, out, err = example.do("epoch", "list")
        assert code == 2
        assert SECRET not in out + err
        monkeypatch.delenv(f"ATH_LEDGER_{name}")
