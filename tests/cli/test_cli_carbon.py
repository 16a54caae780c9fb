"""The carbon vault beside the books: shown per epoch, retired from once, taken into the books when it is final."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from ledger.workspace import Workspace

Desk = Any  # conftest's
SUPPLIER = "0x00000000000000000000000000000000000C0FFE"
CERTIFICATE = "0x" + "c5" * 32


@pytest.fixture
def retire(example: Desk) -> Callable[..., tuple[int, str, str]]:
    """`carbon retire` with the retirer's key, who has gas money."""
    example.do("chain", "account", "retirer")

    def run(grams: int, payment: int, *more: str, certificate: str = CERTIFICATE) -> tuple[int, str, str]:
        keys = example.root / "keys"
        result: tuple[int, str, str] = example.do(
            "carbon", "retire", "--grams", str(grams), "--payment", str(payment), "--supplier", SUPPLIER,
            "--certificate-hash", certificate, "--uri", "https://registry.example/c5", "-o", "json",
            "--keystore", keys / "retirer.json", "--password-file", keys / "password", *more,
        )  # fmt: skip
        return result

    return run


def paid_for_grams(example: Desk) -> int:
    return sum(int(row["paid_for_ug_chain"]) for row in example.data("carbon", "show")) // 10**6


def price_of(example: Desk, grams: int) -> int:
    return grams * int(example.data("carbon", "show")[0]["price_wei_per_tonne"]) // 10**6


def test_what_the_vault_holds_is_shown_beside_the_books(example: Desk) -> None:
    (row,) = example.data("carbon", "show")
    for name in ("received_wei", "owed_ug", "paid_for_ug", "retired_ug"):
        assert row[f"{name}_chain"] == row[f"{name}_books"]
    assert 0 < int(row["received_wei_chain"]) <= int(row["cap_wei"])
    assert int(row["owed_ug_books"]) == int(row["paid_for_ug_books"]) + int(row["carried_ug"])


def test_a_retirement_is_shown_sent_once_and_booked_when_it_is_final(
    example: Desk, retire: Callable[..., tuple[int, str, str]]
) -> None:
    grams = paid_for_grams(example)
    payment = price_of(example, grams)
    assert grams > 0
    head = example.data("chain", "status")["head"]
    code, out, err = retire(grams, payment)
    assert code == 0, err
    assert json.loads(out)["data"]["micrograms"] == str(grams * 10**6)
    assert example.data("chain", "status")["head"] == head  # a dry run

    assert retire(grams, payment, "--broadcast")[0] == 0
    mined = example.data("chain", "status")["head"]
    code, _, err = retire(grams, payment, "--broadcast")
    assert code == 0
    assert "on chain already" in err
    assert example.data("chain", "status")["head"] == mined
    code, _, err = retire(1, 0, "--broadcast")
    assert code == 7
    assert "carbon.certificate-used" in err

    example.do("chain", "warp", "--by", "12")
    code, _, err = example.do("run", "--until-idle")
    assert code == 0, err
    (row,) = example.data("carbon", "show")
    assert row["retired_ug_chain"] == row["retired_ug_books"] == str(grams * 10**6)
    (entry,) = example.data("audit", "journal", "--kind", "retirement")
    assert [(line["debit"], line["credit"], line["amount"]) for line in entry["transfers"]] == [
        ("carbon/held", "carbon/spent", str(payment)),
        ("carbon/paid-for", "carbon/retired", str(grams * 10**6)),
    ]
    ledger = Workspace.at(example.root).open(read_only=True)
    settlement = ledger.settlement()
    token = settlement.deployment.token(settlement.connection)
    assert token.balance_wei(bytes.fromhex(SUPPLIER[2:]), "latest") == payment  # type: ignore[arg-type]
    ledger.close()


def test_what_the_vault_would_refuse_is_named_with_its_arguments(
    example: Desk, retire: Callable[..., tuple[int, str, str]]
) -> None:
    grams = paid_for_grams(example)
    too_many = retire(grams + 1, 0, "--broadcast")
    assert too_many[0] == 7
    assert f"RetiresMoreThanPaidFor(micrograms={grams + 1}, available=" in too_many[2]
    assert "PaymentAbovePrice(payment=" in retire(1, 3 * price_of(example, 1), "--broadcast")[2]
    assert "PaymentAboveHeld(payment=" in retire(grams, 10**30, "--broadcast")[2]
    assert "CertificateMissing()" in retire(1, 0, "--broadcast", certificate="0x" + "00" * 32)[2]
    assert retire(1, 0, certificate="0x12")[0] == 2


def test_who_is_no_retirer_is_told_so(example: Desk) -> None:
    keys = example.root / "keys"
    code, _, err = example.do(
        "carbon", "retire", "--grams", "1", "--payment", "0", "--supplier", SUPPLIER, "--certificate-hash", CERTIFICATE,
        "--uri", "u", "--keystore", keys / "publisher.json", "--password-file", keys / "password", "--broadcast",
    )  # fmt: skip
    assert code == 7
    assert "CarbonVault.retire asks for RETIRER" in err
