"""The doctor: silent about a healthy ledger, and for every ill the right words, the right end, and no changes."""

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
import servers

from ledger.db import epochs, outbox, submissions
from ledger.db.outbox_entry import OutboxState
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber, Timestamp
from ledger.workspace import Workspace

AT = Timestamp(1_687_000_000)


def examined(example: Any, *more: str) -> tuple[int, dict[str, dict[str, str]], str]:
    code, out, err = example.do("doctor", "-o", "json", *more)
    return code, {row["check"]: row for row in json.loads(out)["data"]}, err


def failed(found: dict[str, dict[str, str]]) -> dict[str, str]:
    return {name: row["code"] for name, row in found.items() if row["health"] == "failed"}


def digests(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm")))
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_healthy_ledger_has_nothing_in_the_way_and_is_left_as_it_is(example: Any) -> None:
    example.do("chain", "stop")
    before = digests(example.root)
    code, found, err = examined(example, "--full")
    assert (code, failed(found)) == (0, {})
    assert len(found) == 29
    assert {row["health"] for row in found.values()} == {"ok"}
    assert "nothing in the way" in err
    assert "sleeps" in found["contracts"]["found"]
    assert digests(example.root) == before


def test_a_changed_file_is_named_and_ends_with_4(example: Any) -> None:
    statements = next((example.root / "artefacts").rglob("statements.parquet"))
    stored = next((example.root / "evidence" / "batch").rglob("*.parquet"))
    for file, check in ((statements, "artefacts"), (stored, "evidence")):
        content = file.read_bytes()
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        code, found, _ = examined(example)
        assert (code, list(failed(found))) == (4, [check])
        assert file.name in found[check]["found"]
        file.unlink()
        code, found, _ = examined(example)
        assert (code, list(failed(found))) == (4, [check])
        file.write_bytes(content)
    assert examined(example)[0] == 0


def tamper(root: Path, table: str, statement: str) -> None:
    """Change a row that never changes, as somebody with the file in hand could, and leave no trace of it."""
    with sqlite3.connect(root / "ledger.sqlite") as database:
        guards = database.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?", (table,)
        ).fetchall()
        for name, _ in guards:
            database.execute(f"DROP TRIGGER {name}")
        database.execute(statement)
        for _, ddl in guards:
            database.execute(ddl)
    database.close()


def test_a_rewritten_book_is_found(example: Any) -> None:
    tamper(example.root, "transfers", "UPDATE transfers SET amount = replace(amount, '7', '8') WHERE entry_seq = 2")
    code, found, _ = examined(example)
    assert (code, failed(found)) == (4, {"journal": "books.journal-broken"})
    assert "seq 2" in found["journal"]["found"]
    code, _, err = example.do("db", "check")
    assert (code, err.split(":")[0]) == (4, "books.journal-broken")


def test_a_missing_guard_is_found(example: Any) -> None:
    with sqlite3.connect(example.root / "ledger.sqlite") as database:
        database.execute("DROP TRIGGER guard_transfers_update")
    database.close()
    code, found, _ = examined(example)
    assert (code, failed(found)) == (4, {"database": "db.guards-changed"})
    assert found["journal"]["health"] == "skipped"
    assert found["contracts"]["health"] == "ok"


def test_a_halted_epoch_and_a_stuck_transaction_say_who_must_look(example: Any) -> None:
    database = Workspace.at(example.root).open_database()
    with database.transaction() as session:
        epochs.open_epoch(session, EpochNumber(1), recorded_at=AT)
        standing = epochs.lock_epoch(session, EpochNumber(1))
        epochs.record_transition(
            session, standing, EpochState.HALTED, facts={"from": "open"}, reason="two tables", recorded_at=AT
        )
        entry = outbox.entry(session, "epoch/0/activate/1")
        outbox.record(session, entry, OutboxState.CONFLICTED, AT)
    database.close()
    code, found, err = examined(example)
    assert (code, failed(found)) == (5, {"epochs": "epoch.halted", "outbox": "settle.nonce-taken"})
    assert "two tables" in found["epochs"]["found"]
    assert "ath-ledger epoch resume 1" in found["epochs"]["next"]
    assert err.splitlines()[0] == "2 of 29 checks failed"


@pytest.mark.parametrize(
    ("variable", "value", "check", "code"),
    [
        ("RPC_URL", "http://127.0.0.1:9", "contracts", "chain.unreachable"),
        ("PUBLISHER_KEYSTORE", "keys/guardian.json", "publisher", "settle.publisher-role"),
        ("PUBLISHER_KEYSTORE", "keys/nobody.json", "publisher", "keys.keystore"),
        ("PUBLISHER_PASSWORD_FILE", "settings.toml", "publisher", "keys.keystore"),
        ("DATABASE_URL", "sqlite:////nowhere/ledger.sqlite", "database", "db.missing"),
        ("CLOCK", "sundial", "settings", "usage.invalid"),
    ],
)
def test_a_wrong_setting_fails_its_check(
    example: Any, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, check: str, code: str
) -> None:
    monkeypatch.setenv(f"ATH_LEDGER_{variable}", value)
    ended, found, _ = examined(example)
    assert (ended, failed(found)) == (5, {check: code})
    assert found[check]["next"]


def test_what_does_not_stop_a_start_is_a_warning(example: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATH_LEDGER_CLOCK", "system")
    monkeypatch.setenv("ATH_LEDGER_PUBLISHER_KEYSTORE", "")
    (example.root / "keys").chmod(0o755)
    with Workspace.at(example.root).reshaping():
        code, found, _ = examined(example)
    warned = {name: row["code"] for name, row in found.items() if row["health"] == "warning"}
    assert code == 0
    assert warned == {
        "folders": "keys.readable",
        "keystores": "keys.readable",
        "writer": "workspace.busy",
        "publisher": "settle.no-publisher",
        "clock": "chain.silent",
    }


def test_a_treasury_that_allows_too_little_is_found_before_an_epoch_needs_it(example: Any) -> None:
    ledger = Workspace.at(example.root).open(read_only=True)
    settlement = ledger.settlement()
    deployment, connection = settlement.deployment, settlement.connection
    token = deployment.token(connection)
    for call, code in (
        (token.approve(deployment.addresses["RewardsLedger"], 5), "treasury.allowance"),
        (token.transfer(deployment.reserve, token.balance_wei(deployment.treasury, "latest")), "treasury.balance"),
    ):
        sender = "0x" + deployment.treasury.hex()
        connection.rpc("anvil_impersonateAccount", sender)
        connection.rpc(
            "eth_sendTransaction", {"from": sender, "to": "0x" + call.to.hex(), "data": "0x" + call.calldata.hex()}
        )
        ended, found, _ = examined(example)
        assert (ended, failed(found)) == (5, {"treasury": code})
    ledger.close()


def test_a_folder_that_is_no_workspace_or_has_no_contracts_says_what_comes_first(example: Any, tmp_path: Path) -> None:
    code, found, _ = examined(example, "--workspace", str(tmp_path / "nothing"))
    assert (code, failed(found)) == (5, {"settings": "workspace.missing"})
    (example.root / "deployment.json").unlink()
    code, found, _ = examined(example)
    assert (code, failed(found)) == (5, {"deployment": "workspace.not-deployed"})
    assert found["database"]["health"] == "ok"


def test_a_broker_nobody_listens_at_is_a_warning_until_a_worker_waits(
    example: Any, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import redis

    url = f"{redis_url.rstrip('/')}/7"
    monkeypatch.setenv("ATH_LEDGER_CELERY_BROKER_URL", url)
    code, found, _ = examined(example)
    assert (code, found["broker"]["health"]) == (0, "ok")
    assert (found["workers"]["health"], found["workers"]["code"]) == ("warning", "workers.none")
    assert found["workers"]["page"] == "docs/howto/worker-dies.md"
    client = redis.Redis.from_url(url)
    waiting = threading.Thread(target=lambda: client.brpop(["bells"], timeout=60))
    waiting.start()
    while not any(each["cmd"] == "brpop" for each in client.client_list()):
        time.sleep(0.01)
    assert examined(example)[1]["workers"]["found"] == "1 workers listen"
    client.lpush("bells", "stop")
    waiting.join()
    client.close()


def test_a_broker_that_is_down_fails_and_hides_its_password(example: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATH_LEDGER_CELERY_BROKER_URL", "redis://:hunter2pass@127.0.0.1:9/0")
    code, found, err = examined(example)
    assert (code, failed(found)) == (5, {"broker": "broker.unreachable"})
    assert found["workers"]["health"] == "skipped"
    assert "docs/howto/broker-down.md" in err
    assert "hunter2pass" not in json.dumps(found) + err


def test_a_clock_that_was_set_back_behind_the_books_is_found(example: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATH_LEDGER_CLOCK", "system")
    monkeypatch.setattr("ledger.model.clock.time.time", lambda: 1_000_000_000)
    code, found, _ = examined(example)
    assert code == 5
    assert failed(found) == {"recorded": "clock.behind-books", "clock": "clock.behind"}


def test_a_key_that_sends_by_itself_and_cannot_pay_is_a_warning(example: Any) -> None:
    from ledger.steps.checkup.keys import address_of

    guardian = address_of(example.root / "keys" / "guardian.json")
    assert guardian is not None
    assert "guardian.json is guardian" in examined(example)[1]["keys"]["found"]
    ledger = Workspace.at(example.root).open(read_only=True)
    ledger.settlement().connection.rpc("anvil_setBalance", "0x" + guardian.hex(), "0x1")
    ledger.close()
    code, found, _ = examined(example)
    assert code == 0
    assert (found["keys"]["health"], found["keys"]["code"]) == ("warning", "settle.funds-missing")


def test_old_transactions_and_submissions_are_named_with_their_age(
    example: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATH_LEDGER_CLOCK", "system")
    database = Workspace.at(example.root).open_database()
    with database.transaction() as session:
        submissions.receive(session, b"{}", received_at=AT)
        entry = outbox.entry(session, "epoch/0/activate/1")
        outbox.record(session, entry, OutboxState.BROADCAST, AT)
    database.close()
    found = examined(example)[1]
    assert (found["outbox"]["code"], found["submissions"]["code"]) == ("settle.stuck", "submissions.waiting")


def test_books_that_the_chain_is_ahead_of_are_found(example: Any) -> None:
    ledger = Workspace.at(example.root).open(read_only=True)
    publisher = ledger.settlement().publisher
    assert publisher is not None
    nonce = ledger.settlement().connection.nonce(publisher.address)
    ledger.settlement().connection.rpc("anvil_setNonce", "0x" + publisher.address.hex(), hex(nonce + 1))
    ledger.close()
    code, found, _ = examined(example)
    assert (code, failed(found)) == (5, {"level": "books.behind-chain"})
    assert found["level"]["page"] == "docs/howto/back-up-and-restore.md"


def test_a_file_that_is_no_keystore_is_named(example: Any) -> None:
    (example.root / "keys" / "stray.json").write_text("[1, 2]")
    code, found, _ = examined(example)
    assert (code, found["keystores"]["code"]) == (5, "keys.keystore")
    assert "stray.json" in found["keystores"]["found"]


@pytest.mark.parametrize("jump", [0.0, 3600.0])
def test_a_clock_that_is_being_set_is_noticed(monkeypatch: pytest.MonkeyPatch, jump: float) -> None:
    from ledger.steps.checkup import chain

    times = iter([1000.0, 1000.2 + jump])
    steady = iter([5.0, 5.2])
    monkeypatch.setattr(chain.time, "time", lambda: next(times))
    monkeypatch.setattr(chain.time, "monotonic", lambda: next(steady))
    assert chain.check_machine_time(lambda _seconds: None)[2] == ("clock.jumps" if jump else "")


def test_a_database_account_that_may_only_read_is_found(
    migrated: Callable[[str], tuple[str | None, str]],
) -> None:
    from sqlalchemy import make_url, text

    from ledger.db.engine import open_database
    from ledger.steps.checkup.books import check_writable
    from ledger.steps.checkup.doctor import examine

    server_url, template = migrated("postgresql")
    place = servers.new_place("postgresql", Path(), server_url, template)
    database = open_database(place)
    assert examine("writable", lambda: check_writable(database)).code == ""
    name = f"reader_{token_hex(4)}"
    with database.engine.begin() as owner:
        owner.execute(text(f"CREATE ROLE {name} LOGIN"))
        owner.execute(text(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}"))
        owner.execute(text(f"GRANT INSERT ON balances TO {name}"))
    database.close()
    reader = open_database(make_url(place).set(username=name).render_as_string(hide_password=False))
    found = examine("writable", lambda: check_writable(reader))
    reader.close()
    assert found.code == "db.read-only"
    assert "journal_entries" in found.found
    assert "balances" not in found.found
