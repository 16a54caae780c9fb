"""From a sender's records to the verdict on them, with the examples of docs/reference/evidence-files.md."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ledger.demo.worked_example import WorkedExample
from ledger.model.units import EpochNumber
from ledger.rehearsal import Rehearsal

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "evidence-files.md"
SIGNERS = {"uptime": "checker-0", "energy": "meter", "renewable": "registry", "grid": "grid"}
NODE = "0x095493af0b94f7594c82e1c7b36e831f6964615c5d465bb9dec7bf25658c6895"


def examples() -> dict[str, str]:
    """Every example of the page by its file's name."""
    found = re.findall(r"<!-- example: (\S+) -->\n```\w+\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return dict(found)


def make(example: Any, name: str, signer: str, *more: str) -> tuple[Path, tuple[int, str, str]]:
    records = example.folder / name
    records.write_text(examples()[name])
    draft = example.folder / f"{name}.parquet"
    options = ("--schema", name.split(".")[0], "--epoch", "1", "--input", records, "--out", draft)
    return draft, example.do("batch", "make", *options, *example.key(signer), *more)


def sent(example: Any, name: str, signer: str) -> dict[str, str]:
    draft, (code, _, err) = make(example, name, signer)
    assert code == 0, err
    assert example.do("batch", "sign", draft, *example.key(signer))[0] == 0
    return example.data("batch", "submit", draft)[0]


def settle_epoch_1(example: Any) -> None:
    rehearsal = Rehearsal.create(example.root, WorkedExample())
    ledger = rehearsal.workspace.open()
    for _ in rehearsal.settle(ledger, EpochNumber(1)):
        pass
    ledger.close()


def test_the_page_has_an_example_of_every_schema() -> None:
    assert sorted(examples()) == ["energy.json", "grid.json", "renewable.json", "uptime.csv", "uptime.json"]


def test_every_example_of_the_page_is_admitted_and_accepted_whole(example: Any) -> None:
    receipts = [sent(example, f"{schema}.json", signer) for schema, signer in SIGNERS.items()]
    assert [receipt["result"] for receipt in receipts] == ["admitted"] * 4
    settle_epoch_1(example)
    for receipt in receipts:
        status = example.data("batch", "status", receipt["uid"])
        assert (status["epoch_state"], status["verdict"]) == ("final", "accepted")
        assert status["records_refused"] == {}


def test_csv_and_json_make_the_same_batch(example: Any) -> None:
    time = ("--issued-at", "2023-06-15T18:10:00Z")
    roots = []
    for name in ("uptime.json", "uptime.csv"):
        draft, (code, _, err) = make(example, name, "checker-0", *time)
        assert code == 0, err
        roots.append(example.data("batch", "show", draft)["uid"])
    assert roots[0] == roots[1]


def test_a_batch_takes_the_next_place_after_those_that_arrived(example: Any) -> None:
    first = sent(example, "uptime.json", "checker-0")
    _, (code, out, err) = make(example, "uptime.csv", "checker-0", "-o", "json")
    assert code == 0, err
    second = json.loads(out)["data"]
    assert (second["sequence"], second["previous_batch"]) == (1, first["uid"])


def test_sending_twice_is_harmless_and_says_so(example: Any) -> None:
    first = sent(example, "grid.json", "grid")
    again = example.data("batch", "submit", example.folder / "grid.json.parquet")[0]
    assert (first["result"], again["result"], again["uid"]) == ("admitted", "known", first["uid"])


def test_a_folder_is_sent_whole_and_each_file_has_its_receipt(example: Any) -> None:
    box = example.folder / "box"
    box.mkdir()
    for name in ("grid.json", "energy.json"):
        signer = SIGNERS[name.split(".")[0]]
        draft, _ = make(example, name, signer)
        example.do("batch", "sign", draft, *example.key(signer))
        draft.rename(box / draft.name)
    (box / "notes.parquet").write_bytes(b"no batch at all")
    code, out, err = example.do("batch", "submit", box, "-o", "json")
    receipts = {Path(row["file"]).name: row for row in json.loads(out)["data"]}
    assert code == 7
    assert "submission.refused: 1 of 3 refused: file.not-a-batch" in err
    assert receipts["notes.parquet"]["remedy"] == "write the file with: ath-ledger batch make"
    assert [receipts[name]["result"] for name in ("energy.json.parquet", "grid.json.parquet")] == ["admitted"] * 2


def test_a_wallet_signs_the_printed_document(example: Any) -> None:
    from eth_account import Account

    draft, _ = make(example, "grid.json", "grid")
    code, out, _ = example.do("batch", "sign", draft)
    assert code == 0
    key = Account.decrypt(json.loads((example.root / "keys" / "grid.json").read_text()), "test")
    signature = Account.sign_typed_data(key, full_message=json.loads(out)).signature
    assert example.do("batch", "sign", draft, "--signature", "0x" + bytes(signature).hex())[0] == 0
    assert example.data("batch", "submit", draft)[0]["result"] == "admitted"


def test_the_json_form_of_a_batch_is_signed_and_sent_like_the_other(example: Any) -> None:
    records, draft = example.folder / "records.json", example.folder / "batch.json"
    records.write_text(examples()["grid.json"])
    options = ("--schema", "grid", "--epoch", "1", "--input", records, "--out", draft)
    assert example.do("batch", "make", *options, *example.key("grid"))[0] == 0
    assert example.do("batch", "sign", draft, *example.key("grid"))[0] == 0
    signed = draft.read_bytes()
    assert signed.startswith(b"{")
    assert example.do("batch", "sign", draft, *example.key("grid"))[0] == 0
    assert draft.read_bytes() == signed
    assert example.data("batch", "submit", draft)[0]["result"] == "admitted"


def test_a_shown_batch_has_its_masks_decoded(example: Any) -> None:
    draft, _ = make(example, "uptime.json", "checker-0")
    shown = example.data("batch", "show", draft)
    assert shown["signature"] is None
    assert shown["record 0"]["upMask"] == ["60/60: 0-59", "56/60: 4-59"]


def test_a_revoked_batch_says_so_before_and_after_the_verdict(example: Any) -> None:
    uid = sent(example, "energy.json", "meter")["uid"]
    code, out, _ = example.do("batch", "revoke", uid, "--reason", "7")
    assert (code, json.loads(out)["primaryType"]) == (0, "Revocation")
    assert example.data("batch", "status", uid)["revocations"] == []
    refused = example.do("batch", "revoke", uid, "--reason", "7", "--broadcast", *example.key("grid"))
    assert refused[0] == 7
    assert "revocation.not-verifier" in refused[2]
    assert example.do("batch", "revoke", uid, "--reason", "7", "--broadcast", *example.key("meter"))[0] == 0
    status = example.data("batch", "status", uid)
    assert status["revocations"] == ["whole batch, reason 7"]
    assert status["verdict"] == "comes with the epoch's computation, after its cut-off"
    settle_epoch_1(example)
    assert example.data("batch", "status", uid)["code"] == "batch.revoked"


@pytest.mark.parametrize("uid", ["0x" + "00" * 32, "nonsense"])
def test_a_uid_nobody_knows_is_not_found_or_not_understood(example: Any, uid: str) -> None:
    code, _, err = example.do("batch", "status", uid)
    assert (code, err.split(":")[0]) == ((3, "batch.unknown") if uid.startswith("0x") else (2, "usage.invalid"))
