"""No password and no access key reaches a text, whichever way it would get in."""

from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledger.settings import Settings
from ledger.telemetry import secrets
from ledger.telemetry.secrets import keep_address_secret, keep_secret, redact, redacted


@pytest.fixture(autouse=True)
def forgetful() -> Iterator[None]:
    kept = set(secrets._kept)
    yield
    secrets._kept.clear()
    secrets._kept.update(kept)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://ledger:hunter2@db.example/books", "postgresql://ledger:***@db.example/books"),
        ("postgresql+psycopg://u:p%40ss@db/books?sslmode=require", "postgresql+psycopg://u:***@db/books?***"),
        ("postgresql://db/books?user=u&password=hunter2", "postgresql://db/books?***"),
        ("redis://:hunter2@cache:6379/0", "redis://:***@cache:6379/0"),
        ("postgresql://u:p@ss/w?rd@db/books", "postgresql://u:***@db/books"),
        ("https://mainnet.example/v3/0123456789abcdef", "https://mainnet.example/***"),
        ("https://key@node.example:8545", "https://***@node.example:8545"),
        ("wss://node.example/?apikey=abc", "wss://node.example/***"),
        ("http://127.0.0.1:8545", "http://127.0.0.1:8545"),
        ("http://127.0.0.1:8545/", "http://127.0.0.1:8545/"),
        ("sqlite:////var/lib/ledger/ledger.sqlite", "sqlite:////var/lib/ledger/ledger.sqlite"),
        ("memory://", "memory://"),
        (
            "'postgres//ledger:hunter2@db/books' is no database URL",
            "'postgres//ledger:***@db/books' is no database URL",
        ),
        ("Max retries exceeded with url: /v3/abc (Caused by X)", "Max retries exceeded with url: /*** (Caused by X)"),
        ('node:443 "POST /v3/abc HTTP/1.1" 200', 'node:443 "POST /*** HTTP/1.1" 200'),
        ("host=db user=u password=hunter2 dbname=x", "host=db user=u password=*** dbname=x"),
        ("Authorization: Bearer abc.def", "Authorization: ***"),
        ("{'password': 'hunter2', 'n': 1}", "{'password': ***, 'n': 1}"),
        ("epoch 3 is sealed: 4 of 5", "epoch 3 is sealed: 4 of 5"),
    ],
)
def test_a_text_keeps_what_a_reader_needs_and_loses_what_opens_doors(text: str, shown: str) -> None:
    assert redacted(text) == shown


def test_fields_with_secret_names_are_masked_whole_and_the_depth_is_searched() -> None:
    found = redact({"publisher_password": "x", "key": "epoch/3", "list": [{"url": "redis://:pw@h"}], "apiKey": "k"})
    assert found == {
        "publisher_password": "***",
        "key": "epoch/3",
        "list": [{"url": "redis://:***@h"}],
        "apiKey": "***",
    }


def test_a_kept_secret_is_masked_everywhere_and_a_short_one_blackens_nothing() -> None:
    keep_secret("correct horse", "test")
    keep_address_secret("https://node.example/v3/0123456789abcdef0123?project=projectkey99")
    keep_address_secret("redis://:brokerpass@cache/0")
    said = "correct horse, 0123456789abcdef0123, projectkey99, brokerpass, a test, node.example"
    assert redacted(said) == "***, ***, ***, ***, a test, node.example"


def test_settings_are_shown_without_their_secrets() -> None:
    settings = Settings(
        database_url="postgresql://u:hunter2@db/books",
        rpc_url="https://node.example/v3/abcdef",
        celery_broker_url="redis://:hunter2@cache",
    )
    for shown in (repr(settings), str(settings), f"{settings}"):
        assert "hunter2" not in shown
        assert "abcdef" not in shown
        assert "db/books" in shown


_password = st.text(
    st.characters(codec="ascii", exclude_characters=" \t\r\n\x0b\x0c\x1c\x1d\x1e\x1f\"'<>\\`|"), min_size=6
)


@given(_password, st.sampled_from(["postgresql", "redis", "rediss", "https", "wss", "amqp"]))
@example("/v3/@", "https")
def test_no_password_survives_in_an_address(password: str, scheme: str) -> None:
    marked = f"Zq7{password}7qZ"
    shown = redacted(f"cannot reach {scheme}://user:{marked}@host.example:99/name: refused")
    assert marked not in shown
    assert "host.example:99" in shown
