"""The client: every question of the API as a typed method, and handing evidence in.

    with LedgerClient("http://localhost:8080") as ledger:
        for row in ledger.list_history("0x…"):
            print(row["epoch"], row["payout_wei"])

Amounts are decimal strings of wei, as the API sends them: `int(text)` loses nothing.
"""

from hashlib import sha256
from types import TracebackType
from typing import Final, Self

from ledger.client.errors import ServerFailure, ServerUnreachableError
from ledger.client.routes import Routes
from ledger.client.shapes import SubmissionFact
from ledger.client.transport import TIMEOUT_SECONDS, Fact, Transport, patiently

_JSON: Final = "application/json"
_PARQUET: Final = "application/vnd.apache.parquet"
_POLL_SECONDS: Final = 0.25


class LedgerClient(Routes):
    """A server's ledger. Raises the classes of `ledger.client.errors`, each with the server's own code."""

    def __init__(self, url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        super().__init__(Transport(url, timeout_seconds=timeout_seconds, pause=patiently))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back."""
        self._transport.close()

    def submit(self, content: bytes) -> Fact[SubmissionFact]:
        """Hand in a batch, a registration or a revocation as its file's bytes. It is kept, and not judged yet."""
        media_type = _JSON if content[:1] == b"{" else _PARQUET
        answer = self._transport.post("/v1/submissions", content, media_type)
        return _about(sha256(content).hexdigest(), Fact(answer["standing"], answer["data"]))

    def verdict(self, digest: str, *, patience_seconds: float = 30) -> Fact[SubmissionFact]:
        """Wait until a submission is judged. ServerFailure when it is not by then: ask again later."""
        waited = 0.0
        while True:
            found = _about(digest, self.show_submission(digest))
            if found.data["state"] != "received":
                return found
            if waited >= patience_seconds:
                problem = {"code": "submission.waiting", "detail": f"{digest} is kept and not judged yet"}
                raise ServerFailure({**problem, "hint": f"ath-ledger batch status {digest} --url URL"})
            patiently(_POLL_SECONDS)
            waited += _POLL_SECONDS


def _about(digest: str, found: Fact[SubmissionFact]) -> Fact[SubmissionFact]:
    """The answer, if it is about this content: what is told of another one says nothing about it."""
    if found.data["digest"].removeprefix("0x") != digest.removeprefix("0x"):
        raise ServerUnreachableError(f"asked about {digest}, the server answers about {found.data['digest']}")
    return found
