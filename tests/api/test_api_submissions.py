"""Evidence over HTTP: its signature is its authority; kept first, judged soon, twice is one; nothing bad is kept."""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from http_server import Server, problem_in

from ledger.api import intake
from ledger.api.desk import Desk
from ledger.chain.errors import ChainUnreachableError
from ledger.chain.local.anvil import start_detached, stop_detached
from ledger.demo.verifier import demo_signer
from ledger.evidence.items.batch import SignedBatch
from ledger.evidence.items.registration import sign_registration
from ledger.evidence.items.revocation import WHOLE_BATCH, Revocation, SignedRevocation
from ledger.evidence.items.typed_data import Domain
from ledger.evidence.storage.batch_files import write_batch, write_batch_json
from ledger.evidence.storage.item_files import write_registration, write_revocation
from ledger.model.units import EpochNumber, Timestamp
from ledger.steps.intake.inbox import SubmissionState, receive, submission
from ledger.workspace import Workspace

PATIENCE_SECONDS = 60
EPOCH = EpochNumber(1)


@pytest.fixture(scope="module")
def domain(played: Callable[[str], Any]) -> Domain:
    deployment = Workspace.at(played("sqlite").root).deployment()
    return Domain(chain_id=deployment.chain_id, verifying_contract=deployment.addresses["RewardsLedger"])


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def door(request: pytest.FixtureRequest, played: Callable[[str], Any], start: Callable[..., Server]) -> Server:
    """A server to hand evidence in to."""
    return start(played(request.param).root)


@pytest.fixture(scope="module")
def signed(played: Callable[[str], Any], domain: Domain) -> dict[str, bytes]:
    """A batch, a registration and a revocation, validly signed; the ledger has them all already, or judges them now."""
    network = played("sqlite").network
    batch = next(iter(network.batches(EPOCH, domain)))
    registration = next(iter(network.registrations(domain)))
    key = next(
        demo_signer(network.seed, "checker", rank)
        for rank in range(40)
        if demo_signer(network.seed, "checker", rank).address == batch.header.verifier
    )
    revocation = Revocation(batch_uid=batch.uid, record=WHOLE_BATCH, reason=1, revoked_at=Timestamp(1))
    digest = revocation.digest(domain)
    return {
        "batch": write_batch(batch, domain),
        "batch as JSON": write_batch_json(batch, domain),
        "registration": write_registration(registration, domain),
        "revocation": write_revocation(
            SignedRevocation(uid=digest, revocation=revocation, signature=key.sign(digest)), domain
        ),
    }


@pytest.fixture
def unknown(played: Callable[[str], Any], domain: Domain) -> bytes:
    """A registration that no other test hands in."""
    network = played("sqlite").network
    first = next(iter(network.registrations(domain))).registration
    moved = replace(first, valid_from=Timestamp(first.valid_from + 7_200))
    signer = next(each for each in network.operators if each.address == first.operator)
    return write_registration(sign_registration(domain, signer, moved), domain)


def judged(door: Server, location: str) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found: dict[str, Any] = door.data(location)
        if found["state"] != "received":
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


@pytest.mark.parametrize("kind", ["batch", "batch as JSON", "registration", "revocation"])
def test_what_is_signed_is_kept_and_judged(door: Server, signed: dict[str, bytes], kind: str) -> None:
    content = signed[kind]
    answer = door.post(content)
    assert answer.status_code == 202, answer.text
    digest = "0x" + hashlib.sha256(content).hexdigest()
    assert answer.headers["location"] == f"/v1/submissions/{digest}"
    assert answer.json()["data"]["digest"] == digest
    found = judged(door, answer.headers["location"])
    assert found["kind"] == kind.split()[0]
    assert found["uid"] is not None
    if found["state"] == "refused":  # its time is over; the code says so and what to do
        assert found["code"] == "batch.late"
        assert found["remedy"]
    again = door.post(content)
    assert again.status_code == 202
    assert again.headers["location"] == answer.headers["location"]


def test_a_retried_batch_is_one_submission_and_one_item(door: Server, signed: dict[str, bytes]) -> None:
    from concurrent.futures import ThreadPoolExecutor

    before = len(door.data("/v1/registrations?limit=1000"))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: door.post(signed["registration"]), range(4)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert judged(door, answers[0].headers["location"])["state"] == "admitted"
    assert len(door.data("/v1/registrations?limit=1000")) == before


def test_a_new_registration_is_on_record_once_it_is_judged(
    door: Server, played: Callable[[str], Any], domain: Domain
) -> None:
    network = played("sqlite").network
    first = next(iter(network.registrations(domain))).registration
    operator = next(each for each in network.operators if each.address == first.operator)
    renewed = sign_registration(domain, operator, replace(first, sequence=first.sequence + 1))
    location = door.post(write_registration(renewed, domain)).headers["location"]
    assert judged(door, location)["state"] == "admitted"
    node = door.data(f"/v1/nodes/0x{first.node_id.hex()}")
    assert node["sequence"] == first.sequence + 1
    assert [each["sequence"] for each in node["registrations"]] == [first.sequence, first.sequence + 1]


BAD = {
    "nothing": (b"", 422, "file.not-a-batch"),
    "no JSON": (b"{", 422, "file.truncated"),
    "another JSON": (b'{"a":1}', 422, "file.header"),
    "nested objects": (b'{"a":' * 100_000, 422, "file.truncated"),
    "nested lists": (b'{"a":' + b"[" * 200_000, 422, "file.truncated"),
    "a list": (b"[" * 200_000, 422, "file.not-a-batch"),
    "a large number": (b'{"format":' + b"9" * 100_000 + b"}", 422, "file.truncated"),
    "not UTF-8": (b'{"\xff":1}', 422, "file.truncated"),
    "half a Parquet file": (b"PAR1" + bytes(100) + b"PAR1", 422, "file.truncated"),
    "much JSON": (b"{" + b" " * (2 * 2**20), 413, "file.too-large"),
    "noise": (bytes(range(256)) * 40, 422, "file.not-a-batch"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_evidence_is_refused_at_once_and_not_kept(door: Server, name: str) -> None:
    content, status, code = BAD[name]
    answer = door.post(content)
    found = problem_in(answer)
    assert found[0] == status
    assert found[1].startswith("file."), found
    assert found[1] == code or name in ("a large number", "not UTF-8")
    digest = hashlib.sha256(content).hexdigest()
    assert door.problem(f"/v1/submissions/0x{digest}") == (404, "db.not-found")


def test_an_unknown_field_is_refused(door: Server, signed: dict[str, bytes]) -> None:
    content = signed["registration"].replace(b"{", b'{"gift":1,', 1)
    status, code = problem_in(door.post(content))
    assert (status, code.partition(".")[0]) == (422, "file")


def test_a_forged_signature_is_refused_at_once(door: Server, signed: dict[str, bytes]) -> None:
    import json

    document = json.loads(signed["registration"])
    digits = document["signature"]
    document["signature"] = digits[:10] + ("0" if digits[10] != "0" else "1") + digits[11:]
    status, code = problem_in(door.post(json.dumps(document).encode()))
    assert status == 422
    assert code.startswith("item.signature")


def test_a_stranger_fills_no_disk(door: Server, played: Callable[[str], Any], domain: Domain) -> None:
    """Well signed, by somebody governance never made a verifier: refused before it is kept."""
    network = played("sqlite").network
    stranger = demo_signer(b"somebody", "else", 0)
    batch = next(iter(network.batches(EPOCH, domain)))
    header = replace(batch.header, verifier=stranger.address)
    uid = header.uid(domain)
    forged = SignedBatch(uid=uid, header=header, signature=stranger.sign(uid), source=batch.source)
    content = write_batch(forged, domain)
    assert problem_in(door.post(content)) == (403, "batch.role")
    assert door.problem("/v1/submissions/0x" + hashlib.sha256(content).hexdigest()) == (404, "db.not-found")


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "gzip, gzip", "GZIP"])
def test_an_encoded_body_is_never_unpacked(door: Server, encoding: str) -> None:
    import gzip

    bomb = gzip.compress(bytes(2**24))
    assert problem_in(door.post(bomb, content_encoding=encoding)) == (415, "body.encoding")


@pytest.mark.parametrize("kind", ["text/html", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_another_media_type_is_refused(door: Server, kind: str) -> None:
    assert problem_in(door.post(b"a=1", content_type=kind)) == (415, "body.type")


def test_a_body_that_states_too_much_is_refused_before_it_is_read(door: Server) -> None:
    import http.client

    connection = http.client.HTTPConnection(door.url.removeprefix("http://"))
    connection.putrequest("POST", "/v1/submissions")
    connection.putheader("Content-Length", str(10**12))
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    assert b'"body.too-large"' in answer.read()
    connection.close()


def test_a_body_that_hides_its_size_is_cut_off(played: Callable[[str], Any], start: Callable[..., Server]) -> None:
    server = start(played("sqlite").root, ATH_LEDGER_HTTP_BODY_LIMIT_MIB="1")

    def parts() -> Iterator[bytes]:
        for _ in range(40):
            yield b"x" * 2**16

    import httpx

    try:
        answer = server.post(parts())
    except httpx.WriteError:
        return  # cut off while it was still sending: that is right too
    assert problem_in(answer) == (413, "body.too-large")


def test_what_could_not_be_judged_is_judged_as_soon_as_it_can_be(
    played: Callable[[str], Any], unknown: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chain or the database is away for a while, twice; nobody rings again."""
    import shutil

    root = tmp_path / "ledger"
    shutil.copytree(played("sqlite").root, root, ignore=shutil.ignore_patterns("*.lock"))
    judge, away = intake.judge_submission, [ChainUnreachableError("the node does not answer") for _ in range(2)]

    def sometimes(ledger: Any, digest: Any) -> Any:
        if away:
            raise away.pop()
        return judge(ledger, digest)

    monkeypatch.setattr(intake, "judge_submission", sometimes)
    monkeypatch.setattr(intake, "LOOK_SECONDS", 0.05)
    start_detached(root / "chain")
    desk = Desk.open(Workspace.at(root))
    digest = receive(desk.writer(), unknown).digest
    door = intake.Intake(desk)
    door.begin()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while submission(desk.ledger, digest).state is SubmissionState.RECEIVED:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    door.close()
    desk.close()
    stop_detached(root / "chain")
    assert away == []


def test_what_was_left_waiting_is_judged_by_the_next_server(
    played: Callable[[str], Any], start: Callable[..., Server], unknown: bytes, tmp_path: Path
) -> None:
    """A server that died between keeping and judging loses nothing."""
    import shutil

    root = tmp_path / "ledger"
    shutil.copytree(played("sqlite").root, root, ignore=shutil.ignore_patterns("*.lock"))
    place = Workspace.at(root)
    ledger = place.open()
    digest = receive(ledger, unknown).digest
    ledger.close()
    start_detached(root / "chain")
    server = start(root)
    assert judged(server, f"/v1/submissions/0x{digest.hex()}")["state"] == "admitted"
    server.stop()
    stop_detached(root / "chain")
