"""A proxy in front of a real node that does what nodes do on a bad day, on request.

In the test's own process:

    with RpcProxy(anvil.rpc_url) as proxy:
        proxy.misbehave("timeout-after", "eth_sendRawTransaction", times=1)
        ...  # whoever asks proxy.url meets it
        proxy.behave()

From another process: `POST <url>/faults` with a JSON list of `Fault` fields replaces the script (an empty list ends
it), `GET <url>/faults` returns what is left of it and how often each fault was met. By itself:
`python tests/rpc_proxy.py UPSTREAM` prints its address and serves until it is killed.

A fault holds for the methods it names (none: for all) and for `times` calls (none: until the script is replaced),
after it has let `skip` calls pass. Of several faults the first one that applies acts. Batches are answered call by
call, so a fault may hit one call of a batch; where it takes the whole answer away, it takes that of the batch.
"""

import http.client
import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

SILENT_SECONDS: Final = 3600
"""How long a call that is never answered is kept waiting, unless `seconds` says otherwise or the proxy ends."""

UNANSWERED: Final = frozenset({"timeout-before", "timeout-after", "reset-before", "reset-after", "status", "garbage",
                               "slow", "drip", "huge"})  # fmt: skip
"""Faults of the way there and back. `-before`: the node never hears of it; `-after`: it did what was asked."""
LIES: Final = frozenset({"stale-head", "null-receipt", "missing-block", "wrong-chain-id", "empty-logs", "remembered",
                         "drop", "answer", "error"})  # fmt: skip
"""Faults of the answer: it looks well and is wrong."""


SPEAKS_OF: Final = {
    "null-receipt": ("eth_getTransactionReceipt",),
    "missing-block": ("eth_getBlockByNumber", "eth_getBlockByHash"),
    "wrong-chain-id": ("eth_chainId",),
    "empty-logs": ("eth_getLogs", "eth_getBlockReceipts"),
    "drop": ("eth_sendRawTransaction",),
}
"""The methods that a lie is about, where none are named."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """One way to misbehave.

    timeout-before, timeout-after: no answer for `seconds` · reset-before, reset-after: the connection is torn ·
    status: HTTP status `value` (503) · garbage: the text `value` instead of JSON · slow: answers after `seconds` ·
    drip: one byte every `seconds` · huge: an answer of `value` bytes (64 MiB) ·
    stale-head: the chain ends at block `value`, or so many below its head when that is negative · null-receipt ·
    missing-block: block `value`, or every one named by number or hash · wrong-chain-id: `value` (1) · empty-logs ·
    remembered: what the node answered to the same question before (see `RpcProxy.remember`) · drop: a transaction is
    accepted and forgotten · answer: the result `value` · error: the JSON-RPC error with the message `value`
    """

    kind: str
    methods: tuple[str, ...] = ()
    times: int | None = None
    skip: int = 0
    seconds: float | None = None
    value: Any = None
    met: int = 0
    """How often it acted."""

    def __post_init__(self) -> None:
        if self.kind not in UNANSWERED | LIES:
            raise ValueError(f"there is no fault {self.kind!r}")
        self.methods = tuple(self.methods) or SPEAKS_OF.get(self.kind, ())

    def takes(self, method: str) -> bool:
        """Whether it acts on this call; counts the calls it lets pass and those it takes."""
        if (self.methods and method not in self.methods) or (self.times is not None and self.met >= self.times):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.met += 1
        return True


class _TornError(Exception):
    """The connection is to be torn, or left without an answer."""


@dataclass(slots=True)
class RpcProxy:
    """A running proxy; use as a context manager."""

    upstream: str
    port: int = 0
    calls: list[str] = field(default_factory=list)
    """Every method that was asked for, in order."""
    _faults: list[Fault] = field(default_factory=list)
    _memory: dict[str, Any] = field(default_factory=dict)
    _is_remembering: bool = False
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _ended: threading.Event = field(default_factory=threading.Event)
    _server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """The address to ask instead of the node's."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def misbehave(self, kind: str, *methods: str, **options: Any) -> Fault:
        """Add a fault to the script; its `met` tells later how often it acted."""
        fault = Fault(kind=kind, methods=methods, **options)
        with self._lock:
            self._faults.append(fault)
        return fault

    def behave(self) -> None:
        """End every fault; calls that were left waiting are torn."""
        self.play([])

    def play(self, faults: Sequence[Fault]) -> None:
        """Replace the whole script."""
        with self._lock:
            self._faults = list(faults)
            ended, self._ended = self._ended, threading.Event()
        ended.set()

    def remember(self, on: bool = True) -> None:
        """Keep every answer from now on, for `remembered`; False stops keeping and keeps what is there."""
        self._is_remembering = on

    def ask(self, method: str, *params: Any) -> Any:
        """The node's own answer, past every fault."""
        answer = self._forward({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)})
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def script(self) -> list[dict[str, Any]]:
        """The faults as values, for another process."""
        with self._lock:
            return [asdict(fault) for fault in self._faults]

    def __enter__(self) -> Self:
        proxy = self

        class Handler(_Handler):
            answering = proxy

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self.behave()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: Any, tear: Callable[[], None]) -> bytes | tuple[int, bytes] | Callable[[Any], None]:
        """The body to send, a status with a body, or a function that writes the answer its own way."""
        calls = request if isinstance(request, list) else [request]
        with self._lock:
            ended = self._ended
            self.calls += [call.get("method", "") for call in calls]
            taken = [next((fault for fault in self._faults if fault.takes(call.get("method", ""))), None)
                     for call in calls]  # fmt: skip
        rough = next((fault for fault in taken if fault is not None and fault.kind in UNANSWERED), None)
        if rough is not None and rough.kind.endswith("-before"):
            self._leave(rough, ended, tear)
        answers = [self._answered(call, fault) for call, fault in zip(calls, taken, strict=True)]
        body = json.dumps(answers if isinstance(request, list) else answers[0]).encode()
        return body if rough is None else self._roughly(rough, body, ended, tear)

    def _roughly(
        self, fault: Fault, body: bytes, ended: threading.Event, tear: Callable[[], None]
    ) -> bytes | tuple[int, bytes] | Callable[[Any], None]:
        match fault.kind:
            case "status":
                return (int(fault.value or 503), b"the node is unwell")
            case "garbage":
                return str("<html>no JSON</html>" if fault.value is None else fault.value).encode()
            case "slow":
                ended.wait(fault.seconds or 1)
                return body
            case "drip":
                return lambda out: _drip(out, body, fault.seconds or 0.05, ended)
            case "huge":
                return lambda out: _flood(out, int(fault.value or 64 * 2**20))
        self._leave(fault, ended, tear)
        raise AssertionError("unreachable")

    def _leave(self, fault: Fault, ended: threading.Event, tear: Callable[[], None]) -> None:
        if fault.kind.startswith("timeout"):
            ended.wait(SILENT_SECONDS if fault.seconds is None else fault.seconds)
        tear()
        raise _TornError

    def _answered(self, call: dict[str, Any], fault: Fault | None) -> dict[str, Any]:
        lie = fault if fault is not None and fault.kind in LIES else None
        return self._honest(call) if lie is None else {"jsonrpc": "2.0", "id": call.get("id")} | self._lie(call, lie)

    def _lie(self, call: dict[str, Any], fault: Fault) -> dict[str, Any]:
        method, value = call.get("method", ""), fault.value
        match fault.kind:
            case "answer":
                return {"result": value}
            case "error":
                return {"error": {"code": -32000, "message": value or "internal error"}}
            case "wrong-chain-id" if method == "eth_chainId":
                return {"result": hex(value or 1)}
            case "null-receipt" if method == "eth_getTransactionReceipt":
                return {"result": None}
            case "empty-logs" if method == "eth_getLogs":
                return {"result": []}
            case "empty-logs" if method == "eth_getBlockReceipts":
                return {"result": [receipt | {"logs": []} for receipt in self._honest(call)["result"]]}
            case "missing-block" if method in {"eth_getBlockByNumber", "eth_getBlockByHash"}:
                named = call["params"][0]
                if (value is None and named.startswith("0x")) or (value is not None and named == hex(value)):
                    return {"result": None}
            case "drop" if method == "eth_sendRawTransaction":
                from ledger.tree.keccak import keccak256

                return {"result": "0x" + keccak256(bytes.fromhex(call["params"][0][2:])).hex()}
            case "remembered":
                known = self._memory.get(_question(call))
                if known is not None:
                    return {name: known[name] for name in ("result", "error") if name in known}
            case "stale-head":
                end = int(value) if value >= 0 else int(self.ask("eth_blockNumber"), 16) + int(value)
                return _stale(call, max(0, end), self._honest)
        return {name: part for name, part in self._honest(call).items() if name in {"result", "error"}}

    def _honest(self, call: dict[str, Any]) -> dict[str, Any]:
        answer = self._forward(call)
        if self._is_remembering:
            self._memory[_question(call)] = answer
        return answer

    def _forward(self, call: dict[str, Any]) -> dict[str, Any]:
        target = urlsplit(self.upstream)
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=60)
        try:
            connection.request("POST", target.path or "/", json.dumps(call), {"Content-Type": "application/json"})
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return answer


def _question(call: dict[str, Any]) -> str:
    return json.dumps([call.get("method"), call.get("params")])


def _stale(call: dict[str, Any], end: int, honest: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """The node as it was when block `end` was its head."""
    method, params = call.get("method", ""), list(call.get("params") or [])
    if method == "eth_blockNumber":
        return {"result": hex(end)}
    params = [hex(end) if param in {"latest", "pending", "safe"} else param for param in params]
    if method == "eth_getBlockByNumber" and params[0].startswith("0x") and int(params[0], 16) > end:
        return {"result": None}
    if method == "eth_getLogs" and "toBlock" in params[0]:
        params[0] = params[0] | {"toBlock": hex(min(end, int(params[0]["toBlock"], 16)))}
        if int(params[0]["fromBlock"], 16) > end:
            return {"result": []}
    answer = honest(call | {"params": params})
    found = answer.get("result")
    known_at = {"eth_getTransactionReceipt": "blockNumber", "eth_getBlockByHash": "number"}.get(method)
    if known_at and isinstance(found, dict) and int(found[known_at], 16) > end:
        return {"result": None}
    return {name: part for name, part in answer.items() if name in {"result", "error"}}


def _drip(out: Any, body: bytes, pause: float, ended: threading.Event) -> None:
    """The answer, its headers too, one byte at a time."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    for at in range(len(head + body)):
        out.write((head + body)[at : at + 1])
        out.flush()
        if ended.wait(pause):
            return


def _flood(out: Any, size: int) -> None:
    """JSON as far as one reads, and far too much of it."""
    out.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (size + 2))
    out.write(b'"')
    for _ in range(0, size, 2**16):
        out.write(b"x" * min(2**16, size))
    out.write(b'"')


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    answering: RpcProxy

    def do_GET(self) -> None:
        self._send(200, json.dumps(self.answering.script()).encode())

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/faults":
            self.answering.play([Fault(**fields) for fields in request])
            self._send(200, b"{}")
            return
        try:
            answer = self.answering.answer(request, self._tear)
        except _TornError:
            return
        try:
            if callable(answer):
                self.close_connection = True
                answer(self.wfile)
            elif isinstance(answer, tuple):
                self._send(*answer)
            else:
                self._send(200, answer)
        except OSError:  # the other side has lost its patience
            self.close_connection = True

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _tear(self) -> None:
        """Reset the connection instead of closing it."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        # what the server does with the connection afterwards finds nothing to say it to
        self.wfile = self.rfile = open_nothing()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name for it
        """Say nothing."""


def open_nothing() -> Any:
    """A stream that takes everything and has nothing."""
    import io

    return io.BytesIO()


def main(upstream: str, port: str = "0") -> None:
    """Serve until killed."""
    with RpcProxy(upstream, int(port)) as proxy:
        print(proxy.url, flush=True)  # noqa: T201 - whoever started it reads this
        while True:
            time.sleep(SILENT_SECONDS)


if __name__ == "__main__":
    main(*sys.argv[1:])
