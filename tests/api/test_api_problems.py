"""Bad input: always a problem with a stable code, never a 500, never a trace."""

import http.client
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from http_server import Server, problem_in

from ledger.api.problems import HttpError, status_of
from ledger.model import errors

OPERATOR = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
HASH = "0x" + "ab" * 32


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/", 404, "http.not-found"),
        ("/v1", 404, "http.not-found"),
        ("/v1/", 404, "http.not-found"),
        ("/v1/nothing", 404, "http.not-found"),
        ("/v1/epochs/", 404, "http.not-found"),
        ("/v1/epochs/0/", 404, "http.not-found"),
        ("/v2/epochs", 404, "http.not-found"),
        ("/v1/../v1/nothing", 404, "http.not-found"),
        ("/v1/%00", 404, "http.not-found"),
        ("/v1/epochs/99", 404, "db.not-found"),
        ("/v1/epochs/2147483647", 404, "db.not-found"),
        ("/v1/epochs/2147483648", 422, "request.invalid"),
        ("/v1/epochs/99999999999999999999999999", 422, "request.invalid"),
        ("/v1/epochs/-1", 422, "request.invalid"),
        ("/v1/epochs/0x1", 422, "request.invalid"),
        ("/v1/epochs/1.0", 422, "request.invalid"),
        ("/v1/epochs/%00", 422, "request.invalid"),
        ("/v1/epochs/%F0%9F%92%A9", 422, "request.invalid"),
        ("/v1/epochs/99/statements", 404, "db.not-found"),
        ("/v1/epochs/2/statements", 404, "db.not-found"),
        ("/v1/epochs/99/transitions", 404, "db.not-found"),
        ("/v1/epochs/99/allocations", 404, "db.not-found"),
        (f"/v1/epochs/99/explanations/{HASH}", 404, "db.not-found"),
        (f"/v1/epochs/0/explanations/{HASH}", 404, "rewards.no-such-node"),
        ("/v1/epochs/0/explanations/0xzz", 422, "request.invalid"),
        ("/v1/epochs/0/explanations/0x" + "a" * 65, 422, "request.invalid"),
        (f"/v1/epochs/0/statements/{HASH}", 404, "rewards.no-such-node"),
        ("/v1/epochs/0/statements/0x12", 422, "request.invalid"),
        (f"/v1/epochs/0/proofs/{OPERATOR}", 404, "claim.nothing-earned"),
        (f"/v1/epochs/99/proofs/{OPERATOR}", 404, "db.not-found"),
        (f"/v1/operators/{OPERATOR}", 404, "rewards.no-such-operator"),
        (f"/v1/operators/{OPERATOR}/history", 404, "rewards.no-such-operator"),
        (f"/v1/operators/{OPERATOR}/payouts", 404, "rewards.no-such-operator"),
        (f"/v1/operators/{OPERATOR.replace('A', 'a')}", 422, "address.checksum"),
        (f"/v1/operators/{OPERATOR.lower()}", 404, "rewards.no-such-operator"),
        (f"/v1/operators/{OPERATOR[:-1]}", 422, "address.invalid"),
        (f"/v1/operators/{OPERATOR[2:]}", 422, "address.invalid"),
        ("/v1/operators/0x" + "zz" * 20, 422, "address.invalid"),
        (f"/v1/verifiers/{OPERATOR}", 404, "verifier.unknown"),
        (f"/v1/verifiers/{OPERATOR}/next", 404, "verifier.unknown"),
        (f"/v1/nodes/{HASH}", 404, "node.not-registered"),
        (f"/v1/batches/{HASH}", 404, "batch.unknown"),
        (f"/v1/submissions/{HASH}", 404, "db.not-found"),
        ("/v1/submissions/0x", 422, "request.invalid"),
        ("/v1/policies/0", 422, "request.invalid"),
        ("/v1/policies/99", 404, "policy.unknown"),
        ("/v1/journal/0", 422, "request.invalid"),
        ("/v1/journal/99999", 404, "journal.no-such-entry"),
        ("/v1/certificates/0xabc123/claims", 404, "ledger.not-found"),
        ("/v1/certificates/abc/claims", 422, "request.invalid"),
        ("/v1/reports", 422, "request.invalid"),
        ("/v1/reports?from=1&to=0", 422, "request.range"),
        ("/v1/reports?from=0&to=31", 422, "report.too-long"),
        ("/v1/reports?from=0&to=9", 404, "verify.not-sealed"),
        ("/v1/reports/nothing.csv?from=0&to=0", 404, "report.no-such-table"),
        ("/v1/journal?from=9&to=3", 422, "request.range"),
        ("/v1/transfers?from=9&to=3", 422, "request.range"),
        ("/v1/journal?as_of=1&as_of_epoch=0", 422, "usage.invalid"),
        ("/v1/journal?as_of=99999", 404, "journal.no-such-entry"),
        ("/v1/journal?as_of_epoch=99", 404, "verify.not-sealed"),
        ("/v1/journal?as_of_time=yesterday", 422, "usage.invalid"),
        ("/v1/journal?as_of=1_0", 422, "request.invalid"),
        ("/v1/journal?from=%2B1", 422, "request.invalid"),
        ("/v1/journal?as_of_time=2023-13-01", 422, "usage.invalid"),
        ("/v1/journal?kind=gift", 422, "request.invalid"),
        ("/v1/journal?chain=SEAL", 422, "request.invalid"),
        ("/v1/journal?key=%00", 422, "request.invalid"),
        ("/v1/transfers?account=%25", 422, "request.invalid"),
        ("/v1/transfers?account=OPERATOR", 422, "request.invalid"),
        ("/v1/transfers?code=theft", 422, "request.invalid"),
        ("/v1/accounts?begin=%00", 422, "request.invalid"),
        ("/v1/batches?epoch=x", 422, "request.invalid"),
        ("/v1/batches?verifier=0x0", 422, "address.invalid"),
        ("/v1/batches?schema=wind", 422, "request.invalid"),
        ("/v1/refusals?code=%00", 422, "request.invalid"),
        ("/v1/epochs?state=lost", 422, "request.invalid"),
        ("/v1/epochs?status=final", 422, "request.unknown-parameter"),
        ("/v1/epochs?limit=1&limit=2", 422, "request.repeated-parameter"),
        ("/v1/epochs/0?limit=1", 422, "request.unknown-parameter"),
        ("/healthz?deep=1", 422, "request.unknown-parameter"),
        ("/v1/epochs/0/statements?zone=%00", 422, "request.invalid"),
        ("/v1/epochs/0/statements?model=" + "a" * 61, 422, "request.invalid"),
    ],
)
def test_each_bad_request_has_its_problem(either: Server, path: str, status: int, code: str) -> None:
    assert either.problem(path) == (status, code)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "gEt"])
def test_other_methods_are_refused(served: Server, method: str) -> None:
    connection = http.client.HTTPConnection(served.url.removeprefix("http://"))
    connection.request(method, "/v1/epochs")
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    assert answer.status in (400, 405)  # an unknown method is refused by the parser, before there is a request
    if answer.status == 405:
        assert answer.headers["allow"] == "GET, HEAD"
        assert '"http.method-not-allowed"' in body


def test_a_problem_says_what_was_wrong_and_what_to_do(served: Server) -> None:
    answer = served.get(f"/v1/operators/{OPERATOR.replace('A', 'a')}")
    document = answer.json()
    assert OPERATOR in document["detail"], "the right checksum is told"
    assert document["type"] == "urn:ath-ledger:problem:address.checksum"
    assert document["errors"][0]["where"] == "path.operator"
    assert document["hint"]


def test_several_nodes_of_one_beginning_are_told_apart(served: Server) -> None:
    answer = served.get("/v1/epochs/0/explanations/0x0")
    rows = [row for row in served.data("/v1/epochs/0/statements") if row["node_id"].startswith("0x0")]
    expected = {0: (404, "rewards.no-such-node"), 1: None}.get(len(rows), (422, "usage.invalid"))
    assert (answer.status_code == 200) if expected is None else problem_in(answer) == expected


def test_a_damaged_file_is_a_failure_that_says_nothing_of_our_machine(
    played: Callable[[str], Any], start: Callable[..., Server], tmp_path: Path
) -> None:
    root = tmp_path / "ledger"
    shutil.copytree(played("sqlite").root, root)
    for file in (root / "artefacts").rglob("statements.parquet"):
        file.write_bytes(file.read_bytes()[:-1] + b"\0")
    server = start(root)
    answer = server.get("/v1/epochs/0/statements")
    status, code = problem_in(answer)
    assert (status, code) == (500, "verify.mismatch")
    assert str(tmp_path) not in answer.text
    assert server.get("/v1/epochs").status_code == 200, "the rest goes on"
    server.stop()
    assert "statements.parquet" in server.said(), "the log has it"


def test_every_error_of_the_ledger_has_a_status() -> None:
    def classes(kind: type[errors.LedgerError]) -> Iterator[type[errors.LedgerError]]:
        yield kind
        for below in kind.__subclasses__():
            yield from classes(below)

    for kind in classes(errors.LedgerError):
        status = status_of(kind)
        assert 400 <= status < 600
        if issubclass(kind, errors.InvariantError | errors.MismatchError):
            assert status == 500
        if issubclass(kind, errors.EnvironmentFailure):
            assert status == 503
    assert all(kind.status < 600 for kind in HttpError.__subclasses__())


def test_ten_thousand_parameters_are_one_problem(served: Server) -> None:
    query = "&".join(f"a{number}=1" for number in range(5_000))
    answer = httpx.get(f"{served.url}/v1/epochs?{query}")
    assert answer.status_code in (400, 414, 422)
    assert len(answer.content) < 2_000


@pytest.mark.parametrize(
    "head",
    [
        b"GET /v1/epochs HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 101,
        b"GET /v1/epochs HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 120_000 + b"\r\n",
        b"GET /v1/epochs?state=" + b"a" * 120_000 + b" HTTP/1.1\r\nHost: x\r\n",
    ],
    ids=["many headers", "long header", "long address"],
)
def test_a_head_that_is_too_large_is_said_to_be(served: Server, head: bytes) -> None:
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as sender:
        sender.sendall(head + b"\r\n")
        answer = http.client.HTTPResponse(sender)
        answer.begin()
        found = httpx.Response(answer.status, headers=answer.getheaders(), content=answer.read())
        assert problem_in(found) == (431, "http.head-too-large")
    assert served.get("/v1/epochs").status_code == 200


def test_a_method_that_is_not_taken_is_told_which_are(served: Server) -> None:
    answer = httpx.delete(f"{served.url}/v1/epochs")
    assert problem_in(answer) == (405, "http.method-not-allowed")
    assert answer.headers["Allow"] == "GET, HEAD"


def test_what_is_no_http_fills_no_log(played: Callable[[str], Any], start: Callable[..., Server]) -> None:
    server = start(played("sqlite").root)
    host, port = server.url.removeprefix("http://").split(":")
    for _ in range(20):
        with socket.create_connection((host, int(port)), timeout=20) as sender:
            sender.sendall(b"no HTTP\r\n\r\n")
            assert sender.recv(12) == b"HTTP/1.1 400"
        server.get("/healthz", headers={"Connection": "Upgrade", "Upgrade": "h2c"})
    server.stop()
    assert server.said().count("Invalid HTTP request received") == 1
    assert server.said().count("Unsupported upgrade request") == 1


@pytest.mark.parametrize(
    "said",
    [
        b"GET /v1/epochs?state=\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"FOO /v1/epochs HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /v1/submissions HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=["bytes in the address", "no method", "two lengths", "TLS"],
)
def test_what_is_no_http_has_its_problem_too(served: Server, said: bytes) -> None:
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as sender:
        sender.sendall(said)
        answer = http.client.HTTPResponse(sender)
        answer.begin()
        assert problem_in(httpx.Response(answer.status, headers=answer.getheaders(), content=answer.read())) == (
            400,
            "http.malformed",
        )
        assert sender.recv(1) == b""
