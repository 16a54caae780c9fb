"""Nobody stops the others: rates, shares, bodies and connections, each bounded by itself."""

import asyncio
import contextlib
import http.client
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest
import servers
from http_server import Server, problem_in

from ledger.api.app import make_app
from ledger.api.desk import DERIVE_THREADS
from ledger.api.limits import body, connections
from ledger.api.limits.body import BodyReader, BodySlowError, BodyTooLargeError
from ledger.api.limits.rate import Allowance, ProcessBuckets, RedisBuckets, client_named
from ledger.api.limits.work import Lane, ShareTakenError
from ledger.api.problems import HttpError, ServerBusyError
from ledger.model.units import to_hex
from ledger.workspace import Workspace


class Hand:
    """A clock that a test moves, in milliseconds."""

    at = 0

    def __call__(self) -> int:
        return self.at


def test_a_bucket_lets_a_burst_through_and_then_the_rate() -> None:
    hand = Hand()
    buckets = ProcessBuckets(Allowance(per_second=10, burst=5), hand)

    async def story() -> None:
        assert [await buckets.take("a", 1) for _ in range(5)] == [0] * 5
        assert await buckets.take("a", 1) == 100, "a tenth of a second until there is a token"
        assert await buckets.take("b", 1) == 0, "another client has its own"
        hand.at += 99
        assert await buckets.take("a", 1) == 1
        hand.at += 1
        assert await buckets.take("a", 1) == 0
        hand.at += 10_000
        assert [await buckets.take("a", 1) for _ in range(5)] == [0] * 5, "no more than the burst is saved up"
        assert await buckets.take("a", 3) == 300, "what costs more waits longer"
        assert await buckets.take("a", 1_000) == 500, "what costs more than the burst waits for the burst"

    asyncio.run(story())


def test_buckets_in_redis_are_shared_and_counted_alike(redis_url: str) -> None:
    async def story() -> None:
        allowance = Allowance(per_second=1, burst=4)
        one, other = RedisBuckets(redis_url, allowance), RedisBuckets(redis_url, allowance)
        taken = [await each.take("192.0.2.1", 1) for each in (one, other, one, other)]
        assert taken == [0] * 4
        wait = await one.take("192.0.2.1", 1)
        assert 0 < wait <= 1_000
        assert await other.take("192.0.2.1", 1) > 0
        assert await other.take("192.0.2.2", 1) == 0
        await one.close()
        await other.close()

    asyncio.run(story())


def test_a_broker_that_died_makes_nobody_wait(tmp_path: Path) -> None:
    server = servers.RedisServer(tmp_path)
    server.start()

    async def story() -> None:
        buckets = RedisBuckets(server.url, Allowance(per_second=1, burst=2))
        assert await buckets.take("a", 1) == 0
        server.kill()
        begun = time.monotonic()
        taken = [await buckets.take("a", 1) for _ in range(3)]
        assert time.monotonic() - begun < 20, "a hang, not a measure of speed"
        assert taken[:2] == [0, 0], "counted in the process from here on"
        assert taken[2] > 0
        await buckets.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_one_customer_is_one_client(host: str, name: str) -> None:
    assert client_named(host) == name


def test_who_asks_too_often_is_told_when_to_come_again(
    played: Callable[[str], Any], start: Callable[..., Server]
) -> None:
    environment = {"ATH_LEDGER_HTTP_REQUESTS_PER_SECOND": "1", "ATH_LEDGER_HTTP_REQUESTS_BURST": "3"}
    server = start(played("sqlite").root, **environment)
    answers = [server.get("/v1/epochs") for _ in range(8)]
    refused = [answer for answer in answers if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS]
    assert len(refused) >= 3
    assert problem_in(refused[0]) == (429, "rate.exceeded")
    assert 1 <= int(refused[0].headers["retry-after"]) <= 2
    # X-Forwarded-For of a stranger makes nobody else of him
    assert server.get("/v1/epochs", headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 429
    for path in ("/healthz", "/readyz", "/metrics"):
        assert all(server.get(path).status_code == 200 for _ in range(5)), "operators are never limited"


def test_a_trusted_proxy_speaks_for_many(played: Callable[[str], Any], start: Callable[..., Server]) -> None:
    server = start(
        played("sqlite").root,
        ATH_LEDGER_HTTP_REQUESTS_PER_SECOND="1",
        ATH_LEDGER_HTTP_REQUESTS_BURST="1",
        ATH_LEDGER_HTTP_TRUSTED_PROXIES="127.0.0.1",
    )
    people = [f"203.0.113.{number}" for number in range(20)]
    assert {server.get("/v1/epochs", headers={"X-Forwarded-For": each}).status_code for each in people} == {200}
    again = [server.get("/v1/epochs", headers={"X-Forwarded-For": people[0]}).status_code for _ in range(3)]
    assert 429 in again


def test_a_full_lane_sends_away_and_a_free_one_takes_again() -> None:
    async def story() -> None:
        lane, gate = Lane("test", threads=1, waiting=1), threading.Event()
        first = asyncio.ensure_future(lane.do("a", gate.wait))
        second = asyncio.ensure_future(lane.do("b", lambda: 2))
        await asyncio.sleep(0)
        with pytest.raises(ServerBusyError):
            await lane.do("c", lambda: 3)
        gate.set()
        assert await first
        assert await second == 2
        await asyncio.sleep(0.05)
        assert await lane.do("c", lambda: 3) == 3
        lane.close()

    asyncio.run(story())


def test_one_client_has_only_a_share_of_a_lane() -> None:
    async def story() -> None:
        lane, gate = Lane("test", threads=2, waiting=8, share=2), threading.Event()
        mine = [asyncio.ensure_future(lane.do("greedy", gate.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(ShareTakenError):
            await lane.do("greedy", gate.wait)
        other = asyncio.ensure_future(lane.do("other", gate.wait))
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(*mine, other)
        lane.close()

    asyncio.run(story())


def test_a_place_is_taken_until_its_thread_is_free() -> None:
    """Who stops waiting frees nothing: else a client that hangs up at once could fill any number of threads."""

    async def story() -> None:
        lane, gate = Lane("test", threads=1, waiting=0), threading.Event()
        left = asyncio.ensure_future(lane.do("a", gate.wait))
        await asyncio.sleep(0)
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left
        with pytest.raises(ServerBusyError):
            await lane.do("b", lambda: 1)
        gate.set()
        await asyncio.sleep(0.1)
        assert await lane.do("b", lambda: 1) == 1
        lane.close()

    asyncio.run(story())


class Upload:
    """A request as far as the body's reader looks at it."""

    def __init__(self, parts: Callable[[], AsyncIterator[bytes]], **headers: str) -> None:
        self.headers, self.stream = headers, parts


def refusal_of(work: Callable[[], Awaitable[object]]) -> type[HttpError]:
    with pytest.raises(HttpError) as caught:
        asyncio.run(_awaited(work))
    return type(caught.value)


async def _awaited(work: Callable[[], Awaitable[object]]) -> object:
    return await work()


def test_a_body_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "GRACE_SECONDS", 0.2)

    async def drips() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x"
            await asyncio.sleep(0.05)

    reader = BodyReader(limit=1000, budget=1000)
    assert refusal_of(lambda: reader.read(Upload(drips))) is BodySlowError  # type: ignore[arg-type]


def test_bodies_together_stay_within_the_budget() -> None:
    async def story() -> None:
        reader, gate = BodyReader(limit=100, budget=150), asyncio.Event()

        async def held() -> AsyncIterator[bytes]:
            yield b"x" * 100
            await gate.wait()

        async def whole() -> AsyncIterator[bytes]:
            yield b"y" * 100

        async def long() -> AsyncIterator[bytes]:
            yield b"z" * 101

        first = asyncio.ensure_future(reader.read(Upload(held)))  # type: ignore[arg-type]
        await asyncio.sleep(0.01)
        with pytest.raises(ServerBusyError):
            await reader.read(Upload(whole))  # type: ignore[arg-type]
        gate.set()
        assert len(await first) == 100
        assert len(await reader.read(Upload(whole))) == 100  # type: ignore[arg-type]
        with pytest.raises(BodyTooLargeError):
            await reader.read(Upload(long))  # type: ignore[arg-type]
        assert len(await reader.read(Upload(whole))) == 100, "what was refused is given back"  # type: ignore[arg-type]

    asyncio.run(story())


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server in this process that has less patience, so that a test need not have it; its address."""
    import uvicorn

    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.5)
    monkeypatch.setattr(connections, "READ_SECONDS", 0.5)
    monkeypatch.setattr(connections, "MOST_OF_ONE", 20)

    async def app(scope: dict[str, Any], _receive: object, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        if scope["type"] == "http":
            content = b"x" * (64 * 2**20 if scope["path"] == "/large" else 2)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": content})

    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=connections.PatientProtocol, ws="none", lifespan="off", log_config=None)  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(30)
    listener.close()


def connect(address: str) -> socket.socket:
    host, _, port = address.partition(":")
    return socket.create_connection((host, int(port)), timeout=20)


@pytest.mark.parametrize("said", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_headers_that_do_not_come_are_given_up(hasty: str, said: bytes) -> None:
    with connect(hasty) as slow:
        slow.sendall(said)
        assert slow.recv(1000) == b"", "closed, without an answer"


def test_a_second_request_that_does_not_come_whole_is_given_up(hasty: str) -> None:
    with connect(hasty) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /")
        answer = b""
        while part := slow.recv(1000):
            answer += part
        assert answer.startswith(b"HTTP/1.1 200")


def test_who_never_reads_is_given_up(hasty: str) -> None:
    with connect(hasty) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(3)
        with pytest.raises((ConnectionError, TimeoutError)):  # noqa: PT012 - reset somewhere while reading the rest
            received = 0
            while part := deaf.recv(2**20):
                received += len(part)
            assert received < 64 * 2**20
            raise ConnectionError("cut off")


def test_one_client_holds_only_so_many_connections(hasty: str) -> None:
    held = [connect(hasty) for _ in range(20)]
    try:
        with connect(hasty) as one_more:
            one_more.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                assert one_more.recv(1000) == b""
    finally:
        for each in held:
            each.close()
    time.sleep(0.2)
    with connect(hasty) as later:
        later.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert later.recv(1000).startswith(b"HTTP/1.1 200"), "those that went leave their places"


def test_slow_clients_hold_up_nobody(served: Server) -> None:
    """Sixty half requests and half bodies lie about; everybody else is answered."""
    address = served.url.removeprefix("http://")
    half_a_body = b"POST /v1/submissions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
    lying = []
    try:
        for number in range(60):
            slow = connect(address)
            slow.sendall(half_a_body if number % 2 else b"GE")
            lying.append(slow)
        for _ in range(5):
            assert served.get("/v1/epochs").status_code == 200
        assert served.get("/readyz").status_code == 200
    finally:
        for each in lying:
            each.close()


def test_many_slow_questions_leave_the_quick_ones_alone(served: Server) -> None:
    with ThreadPoolExecutor(24) as pool:
        slow = [pool.submit(served.get, "/v1/reports?from=0&to=1") for _ in range(24)]
        quick = [served.get("/v1/epochs/0").status_code for _ in range(5)]
        found = [each.result() for each in slow]
    assert quick == [200] * 5
    assert {answer.status_code for answer in found} <= {200, 429, 503}
    assert any(answer.status_code == 200 for answer in found)
    for answer in found:
        if answer.status_code != 200:
            assert problem_in(answer)[1] in ("rate.share", "server.busy")
            assert int(answer.headers["retry-after"]) >= 1


def test_headers_and_trailers_have_a_bound(served: Server) -> None:
    """A client that sends fields for ever is cut off; nobody else notices."""
    host, port = served.url.removeprefix("http://").split(":")
    heads = {
        "headers": b"GET /healthz HTTP/1.1\r\nHost: x\r\n",
        "trailers": b"POST /v1/submissions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
    }
    for name, head in heads.items():
        with socket.create_connection((host, int(port)), timeout=20) as sender:
            sent = 0
            with pytest.raises(OSError, match=r"reset|[Bb]roken|aborted"):  # noqa: PT012 - some bytes are buffered
                sender.sendall(head)
                while sent < 64 * 2**20:
                    sender.sendall(b"a:b\r\n" * 4096)
                    sent += 1
            assert sent * 5 * 4096 < 32 * 2**20, name
    assert served.get("/healthz").status_code == 200


def test_two_heads_on_one_connection(served: Server) -> None:
    host, port = served.url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    for path in ("/v1/epochs", "/healthz", "/v1/epochs"):
        connection.request("HEAD", path)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
        assert int(answer.headers["Content-Length"]) > 0
    connection.request("GET", "/v1/epochs")
    assert connection.getresponse().status == 200
    connection.close()


def test_an_index_that_takes_long_to_derive_holds_up_no_other_epoch(played: Callable[[str], Any]) -> None:
    place = played("sqlite")
    app, node = make_app(Workspace.at(place.root)), to_hex(place.network.nodes[0].node_id)
    explanation = "/v1/epochs/{}/explanations/" + node

    async def asked() -> None:
        transport = httpx.ASGITransport(app)
        async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://x") as ask:
            assert (await ask.get(explanation.format(1))).status_code == 200
            gate, deriving = threading.Event(), app.state.desk.deriving
            taken = [asyncio.create_task(deriving.do("others", gate.wait)) for _ in range(DERIVE_THREADS)]
            waiting = asyncio.create_task(ask.get(explanation.format(0)))
            try:
                async with asyncio.timeout(20):
                    while deriving._inside <= DERIVE_THREADS:
                        await asyncio.sleep(0.01)
                assert (await ask.get(explanation.format(1))).status_code == 200
                assert (await ask.get(f"/v1/epochs/0/statements/{node}")).status_code == 200
                assert not waiting.done()
            finally:
                gate.set()
            assert (await waiting).status_code == 200
            assert all(await asyncio.gather(*taken))

    asyncio.run(asked())
