"""One network, two machines, other orders of arrival: the same seals and the same bundles to the byte.

And what a forger can do with such a bundle: rewrite it consistently, digests and all, and be found.
"""

import hashlib
import io
import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ledger.audit.bundle.container import Member, read_zip, write_zip
from ledger.audit.bundle.content import EpochBundle
from ledger.audit.bundle.reading import read_bundle
from ledger.audit.bundle.verification import verify_bundle
from ledger.audit.bundle.writing import index_document, write_bundle
from ledger.audit.calculator import recompute
from ledger.audit.outcome import outcome_of
from ledger.books.posting import Chain, link
from ledger.chain.local.anvil import stop_detached
from ledger.cli.edge import run
from ledger.demo.network import DemoNetwork
from ledger.demo.worked_example import WorkedExample
from ledger.evidence.judging.acceptance import judge
from ledger.model.errors import LedgerError
from ledger.model.units import EpochNumber, Hash32, Wei
from ledger.rehearsal import Network, Rehearsal
from ledger.tree.canonical import canonical_json

NODES, EPOCHS = 60, 2


class Shuffled:
    """A network whose items arrive in another order."""

    def __init__(self, network: Network, seed: int) -> None:
        self._network, self._random = network, random.Random(seed)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    def _shuffled(self, items: Iterator[Any]) -> Iterator[Any]:
        drawn = list(items)
        self._random.shuffle(drawn)
        return iter(drawn)

    def registrations(self, *arguments: Any) -> Iterator[Any]:
        return self._shuffled(self._network.registrations(*arguments))

    def batches(self, *arguments: Any) -> Iterator[Any]:
        return self._shuffled(self._network.batches(*arguments))

    def revocations(self, *arguments: Any) -> Iterator[Any]:
        return self._shuffled(self._network.revocations(*arguments))


def settled(root: Path, network: Any, epochs: int) -> Path:
    rehearsal = Rehearsal.create(root, network)
    ledger = rehearsal.deploy(lambda _: None)
    rehearsal.register(ledger)
    for number in range(epochs):
        rehearsal.attest(ledger, EpochNumber(number))
        for _ in rehearsal.settle(ledger, EpochNumber(number)):
            pass
    ledger.close()
    stop_detached(root / "chain")
    return root


def exported(root: Path, epoch: int) -> bytes:
    place = root.parent / f"{root.name}-{epoch}.zip"
    place.unlink(missing_ok=True)
    assert run(["audit", "export", "--epoch", str(epoch), "--out", str(place), "-w", str(root)]) == 0
    return place.read_bytes()


@pytest.fixture(scope="module")
def fleets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two settled days of a synthetic network of 60 nodes, in two orders of arrival."""
    folder = tmp_path_factory.mktemp("fleets")
    first = settled(folder / "first", DemoNetwork(nodes=NODES, operators=9), EPOCHS)
    second = settled(folder / "second", Shuffled(DemoNetwork(nodes=NODES, operators=9), 7), EPOCHS)
    return first, second


@pytest.fixture(scope="module")
def bundles(fleets: tuple[Path, Path]) -> list[bytes]:
    return [exported(fleets[0], number) for number in range(EPOCHS)]


# order of arrival


def artefacts(root: Path) -> dict[str, str]:
    return {
        str(place.relative_to(root)): hashlib.sha256(place.read_bytes()).hexdigest()
        for place in sorted((root / "artefacts").glob("*/*/*"))
    }


def seals(root: Path, capsys: pytest.CaptureFixture[str]) -> list[Any]:
    capsys.readouterr()
    assert run(["audit", "journal", "--chain", "seal", "-o", "json", "-w", str(root)]) == 0
    entries = json.loads(capsys.readouterr().out)["data"]
    return [{name: value for name, value in entry.items() if name != "seq"} for entry in entries]


def test_a_fleet_in_another_order_has_the_same_seals_files_and_bundles(
    fleets: tuple[Path, Path], bundles: list[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = fleets
    assert seals(first, capsys) == seals(second, capsys)
    assert artefacts(first) == artefacts(second)
    assert [exported(second, number) for number in range(EPOCHS)] == bundles


def test_the_worked_example_in_another_order_has_the_same_seal_and_bundle(
    settled_example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = Path(shutil.copytree(settled_example, tmp_path / "first"))
    second = settled(tmp_path / "second", Shuffled(WorkedExample(), 3), 1)
    assert seals(first, capsys) == seals(second, capsys)
    assert artefacts(first) == artefacts(second)
    assert exported(first, 0) == exported(second, 0)


def test_the_orders_really_differed(fleets: tuple[Path, Path]) -> None:
    from ledger.db import items
    from ledger.workspace import Workspace

    orders = []
    for root in fleets:
        database = Workspace.at(root).open_database(read_only=True)
        with database.reading() as session:
            orders.append([item.uid for item in items.items(session)])
        database.close()
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])


# walking


def test_epochs_are_walked_and_a_revocations_flipped_byte_is_named(
    fleets: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(shutil.copytree(fleets[0], tmp_path / "ledger"))
    capsys.readouterr()
    assert run(["audit", "verify", "-w", str(root), "-o", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)["data"]
    assert {row["epoch"] for row in rows} == {None, 0, 1}
    assert run(["audit", "verify", "--epoch", "1", "--only", "-w", str(root), "-o", "json"]) == 0
    out, err = capsys.readouterr()
    assert {row["epoch"] for row in json.loads(out)["data"]} == {None, 1}
    assert "believed as recorded" in err
    place = sorted((root / "evidence" / "revocation").glob("*/*"))[0]
    place.write_bytes(place.read_bytes().replace(b"0x", b"0X", 1))
    assert run(["audit", "verify", "-w", str(root)]) == 4
    assert place.name in capsys.readouterr().err


def test_bundles_of_consecutive_epochs_are_walked(
    bundles: list[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / f"{number}.zip" for number in range(EPOCHS)]
    for place, content in zip(files, bundles, strict=True):
        place.write_bytes(content)
    assert run(["audit", "verify", *map(str, files), "-o", "json"]) == 0
    out, err = capsys.readouterr()
    assert {"walked.used", "walked.gpu-holders", "walked.claims"} <= {row["check"] for row in json.loads(out)["data"]}
    assert "believed" not in err
    assert run(["audit", "verify", str(files[1])]) == 0
    told = capsys.readouterr().err
    assert "believed as stated" in told
    assert "what every operator had earned before" in told
    files[0].write_bytes(forged(bundles[0], in_document("totals.json", more("carbonWei"))))
    assert run(["audit", "verify", *map(str, files)]) == 4
    assert "1.zip was not looked at: 0.zip has to pass first" in capsys.readouterr().err


# forgers


Change = Callable[[dict[str, bytes]], None]


def forged(bundle: bytes, change: Change, *, first: str = "index.json") -> bytes:
    """The bundle with some members changed, and index and container made anew to match."""
    members = {name: bytes(body) for name, body in read_zip(memoryview(bundle)).items()}
    change(members)
    old = json.loads(members.pop("index.json"))
    digests = {name: (hashlib.sha256(members[name]).digest(), len(members[name])) for name in sorted(members)}
    index = index_document(old["epoch"], Hash32(bytes.fromhex(old["headerHash"][2:])), digests)
    out = io.BytesIO()
    write_zip([Member(first, lambda: index), *(Member(name, lambda at=name: members[at]) for name in digests)], out)  # type: ignore[misc]
    return out.getvalue()


def in_document(name: str, change: Callable[[Any], None]) -> Change:
    def apply(members: dict[str, bytes]) -> None:
        document = json.loads(members[name])
        change(document)
        members[name] = canonical_json(document)

    return apply


def in_line(name: str, change: Callable[[Any], None], line: int = 0) -> Change:
    def apply(members: dict[str, bytes]) -> None:
        lines = members[name].splitlines()
        document = json.loads(lines[line])
        change(document)
        lines[line] = canonical_json(document)
        members[name] = b"".join(each + b"\n" for each in lines)

    return apply


def more(key: str) -> Callable[[Any], None]:
    def add(document: Any) -> None:
        value = document[key]
        document[key] = str(int(value) + 1) if isinstance(value, str) else value + 1

    return add


def without(name: str) -> Change:
    return lambda members: members.pop(name) and None


def in_hex(tree: Any) -> None:
    """The same amount, written otherwise."""
    value = tree["values"][0]["value"]
    value[1] = hex(int(value[1]))


def slipped_in(canonical: str) -> Change:
    """An entry in front of the seal that is no entry."""

    def apply(members: dict[str, bytes]) -> None:
        entry = json.loads(members["journal.ndjson"].splitlines()[0]) | {"canonical": canonical}
        members["journal.ndjson"] = canonical_json(entry) + b"\n" + members["journal.ndjson"]

    return apply


def test_a_bundle_made_anew_unchanged_is_the_same(bundles: list[bytes]) -> None:
    assert forged(bundles[1], lambda _: None) == bundles[1]


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (in_line("statements.ndjson", more("payWei")), "statements"),
        (in_line("statements.ndjson", more("upMinutes")), "statements"),
        (in_document("totals.json", more("carbonWei")), "totals"),
        (in_line("verdicts.ndjson", lambda row: row.update(code="batch.gap")), "detail.verdicts"),
        (in_line("zone-hours.ndjson", more("locationEfMg"), 3), "detail.zone-hours"),
        (in_line("zone-hours.ndjson", more("m1Wh"), -1), "detail.zone-hours"),
        (in_line("zone-hours.ndjson", lambda row: row.update(estimated=not row["estimated"])), "detail.zone-hours"),
        (lambda members: members.update({"verdicts.ndjson": b""}), "detail.verdicts"),
        (in_line("claims-credited.ndjson", more("creditedWh")), "detail.claims-credited"),
        (in_line("claims-credited.ndjson", more("tier")), "detail.claims-credited"),
        (
            lambda members: members.update(
                {"hours-refused.ndjson": canonical_json(
                    {"nodeId": "0x" + "11" * 32, "verifier": "0x" + "22" * 20, "hour": 3, "code": "energy.implausible"}
                ) + b"\n"}
            ),
            "detail.hours-refused",
        ),
        (in_document("policy.json", more("reserveBps")), "policy.hash"),
        (in_document("tables.json", lambda document: document.update(rulesVersion="v2")), "tables.hash"),
        (in_document("epoch.json", more("rolesBlock")), "manifest"),
        (in_document("manifest.json", more("carriedInUg")), "manifest"),
        (in_line("journal.ndjson", lambda entry: entry["transfers"].pop(), -1), "seal.chain"),
        (in_line("journal.ndjson", lambda entry: entry.update(previousHash="0x" + "11" * 32), -1), "seal.chain"),
        (slipped_in("null"), "seal.chain"),
        (slipped_in("7"), "seal.chain"),
        (slipped_in('"text"'), "seal.chain"),
        (slipped_in("[]"), "seal.chain"),
        (slipped_in('{"number":[]}'), "seal.chain"),
        (in_line("registrations.ndjson", lambda item: item.update(signature="0x" + "11" * 65)), "evidence.root"),
        (in_document("before/header.json", more("rollover")), "inherited.header"),
        (in_document("before/manifest.json", more("rolesBlock")), "inherited.manifest"),
        (in_document("before/policy.json", more("reserveBps")), "inherited.policy"),
        (in_document("before/seal.json", lambda seal: seal.update(previousHash="0x" + "11" * 32)), "inherited.seal"),
        (in_line("before/used-ranges.ndjson", lambda row: row.__setitem__(0, "0x" + "00" * 32)), "used-ranges.before"),
    ],
)  # fmt: skip
def test_a_consistent_lie_fails_its_check(bundles: list[bytes], change: Change, check: str) -> None:
    report = verify_bundle(read_bundle(memoryview(forged(bundles[1], change))))
    assert check in {failed.name for failed in report.failed}


def test_lies_about_what_no_header_commits_to_are_found_in_a_walk(bundles: list[bytes]) -> None:
    """GPU holders and production sums are believed of a bundle alone, and recomputed from the one before."""
    left = verify_bundle(read_bundle(memoryview(bundles[0]))).inheritance
    honest = verify_bundle(read_bundle(memoryview(bundles[1])), left)
    assert honest.passed
    for change, check in (
        (in_line("before/gpu-holders.ndjson", lambda row: row.__setitem__(1, "0x" + "11" * 32)), "walked.gpu-holders"),
        (in_line("before/used-production.ndjson", lambda row: row.__setitem__(4, 1)), "walked.used"),
    ):
        report = verify_bundle(read_bundle(memoryview(forged(bundles[1], change))), left)
        assert check in {failed.name for failed in report.failed}


def one_wei_more(bundle: EpochBundle) -> EpochBundle:
    """An operator paid one wei more, at the reserve's cost; statements, tree, manifest, seal and header agree."""
    record, frozen = bundle.record, bundle.record.evidence
    judgement = judge(frozen)
    result = recompute(judgement.accepted, frozen.policy, frozen.tables, record.parent.opening)
    rows, totals = list(result.statements), result.totals
    at = next(place for place, row in enumerate(rows) if row.pay_wei)
    rows[at] = replace(rows[at], pay_wei=Wei(rows[at].pay_wei + 1), base_wei=Wei(rows[at].base_wei + 1))
    totals = replace(totals, payout_wei=Wei(totals.payout_wei + 1), reserve_wei=Wei(totals.reserve_wei - 1))
    lie = replace(result, statements=rows, totals=totals)
    outcome = outcome_of(lie, judgement, frozen, record.parent, record.seal)
    last = bundle.entries[-1]
    seal = last._replace(
        canonical=outcome.seal_canonical,
        hash=link(Chain.SEAL, last.previous_hash, outcome.seal_canonical),
        transfers=tuple(outcome.seal.transfers),
    )
    told = replace(
        record,
        totals=totals,
        statements=rows,
        leaves=tuple((account, Wei(amount)) for account, amount in outcome.leaves.items()),
        manifest=outcome.manifest,
        header=outcome.header,
    )
    return replace(bundle, record=told, entries=(*bundle.entries[:-1], seal))


def test_an_epoch_forged_in_one_piece_is_refused_by_its_row_first(bundles: list[bytes]) -> None:
    """Whoever overstates one wei and makes every hash anew is told which node's row it is, not which hash."""
    out = io.BytesIO()
    write_bundle(one_wei_more(read_bundle(memoryview(bundles[1]))), out)
    first, *_ = verify_bundle(read_bundle(memoryview(out.getvalue()))).failed
    assert first.name == "statements"
    assert first.difference is not None
    assert first.difference.where.endswith("· pay_wei")
    assert int(first.difference.found) - int(first.difference.expected) == 1


def test_another_header_is_not_what_the_evidence_gives(bundles: list[bytes]) -> None:
    def richer(members: dict[str, bytes]) -> None:
        in_document("header.json", more("payout"))(members)
        header = read_header(members)
        index = json.loads(members["index.json"])
        members["index.json"] = canonical_json(index | {"headerHash": header})

    report = verify_bundle(read_bundle(memoryview(forged(bundles[0], richer))))
    assert "header" in {failed.name for failed in report.failed}


def read_header(members: dict[str, bytes]) -> str:
    from ledger.audit.bundle.values import record_of
    from ledger.model.header import EpochHeader
    from ledger.tree.commitments import header_hash

    return "0x" + header_hash(record_of(EpochHeader, json.loads(members["header.json"]), "header")).hex()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (without("statements.ndjson"), "bundle.member-missing"),
        (without("before/header.json"), "bundle.member-missing"),
        (lambda members: members.update({"extra.json": b"{}"}), "bundle.member-unknown"),
        (lambda members: members.update({"batches/abc.ndjson": b"{}\n"}), "bundle.member-unknown"),
        (lambda members: members.update({f"batches/{'0' * 64}.ndjson": b"{}\n"}), "bundle.member-invalid"),
        (lambda members: members.update({"README.md": b"trust me"}), "bundle.member-invalid"),
        (lambda members: members.update({"totals.json": b'{"a": 1}'}), "bundle.member-invalid"),
        (lambda members: members.update({"totals.json": b"[" * 100_000}), "bundle.member-invalid"),
        (lambda members: members.update({"totals.json": b"1" * 10_000}), "bundle.member-invalid"),
        (lambda members: members.update({"tree.json": b'{"format":"standard-v1"}'}), "bundle.member-invalid"),
        (in_document("tree.json", lambda tree: tree.update(note="unseen")), "bundle.member-invalid"),
        (in_document("tree.json", lambda tree: tree["values"][0].update(note="unseen")), "bundle.member-invalid"),
        (in_document("tree.json", in_hex), "bundle.member-invalid"),
        (in_document("before/tree.json", in_hex), "bundle.member-invalid"),
        (lambda members: members.update({"roles.json": b"[{}]"}), "bundle.member-invalid"),
        (lambda members: members.update({"journal.ndjson": b""}), "bundle.member-invalid"),
        (lambda members: members.update({"statements.ndjson": b"{}"}), "bundle.member-invalid"),
        (in_document("deployment.json", lambda document: document.pop("window")), "bundle.member-invalid"),
        (in_document("deployment.json", lambda document: document.update(genesis=1)), "bundle.member-invalid"),
        (lambda members: members.update({"totals.json": b'{"budgetWei":1.5}'}), "bundle.member-invalid"),
        (in_line("statements.ndjson", lambda row: row.update(nodeId="0xZZ")), "bundle.member-invalid"),
        (in_line("registrations.ndjson", lambda item: item.update(format="x")), "bundle.member-invalid"),
        (in_line("journal.ndjson", lambda entry: entry["transfers"].append(["a"]), -1), "bundle.member-invalid"),
        (in_line("verdicts.ndjson", lambda row: row.update(record="none")), "bundle.member-invalid"),
        (in_line("zone-hours.ndjson", lambda row: row.update(missing=0)), "bundle.member-invalid"),
        (in_document("settlement.json", lambda document: document.update(claimed=None)), "bundle.member-invalid"),
    ],
)  # fmt: skip
def test_a_malformed_member_is_refused_with_a_code(bundles: list[bytes], change: Change, code: str) -> None:
    content = forged(bundles[1], change)
    with pytest.raises(LedgerError) as refused:
        read_bundle(memoryview(content))
    assert refused.value.code == code
    assert refused.value.exit_code == 4


def test_a_record_changed_under_its_signature_is_found(bundles: list[bytes]) -> None:
    names = [name for name in read_zip(memoryview(bundles[0])) if name.startswith("batches/")]
    changed = False
    for name in names:

        def worse(record: Any) -> None:
            record["upMask"] = "0x" + "00" * ((len(record["upMask"]) - 2) // 2)

        try:
            content = forged(bundles[0], in_line(name, worse, 1))
        except KeyError:
            continue
        changed = True
        report = verify_bundle(read_bundle(memoryview(content)))
        assert report.failed[0].name == "detail.verdicts"
        break
    assert changed


def test_a_record_that_is_no_record_is_damage_not_a_verdict(bundles: list[bytes]) -> None:
    name = next(name for name in read_zip(memoryview(bundles[0])) if name.startswith("batches/"))
    content = forged(bundles[0], in_line(name, lambda record: record.clear(), 1))
    report = verify_bundle(read_bundle(memoryview(content)))
    (failed,) = report.failed
    assert failed.name == "recomputation"
    assert name in str(failed.difference)
