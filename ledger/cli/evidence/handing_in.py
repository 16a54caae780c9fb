"""Handing evidence in to a server: each file is kept there at once, and its verdict is waited for."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ledger.cli.evidence.options import SubmissionRefusedError
from ledger.cli.shared.output import Format, emit_rows
from ledger.model.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from ledger.client.client import LedgerClient
    from ledger.client.shapes import SubmissionFact


def hand_in(asked: "LedgerClient", files: "Iterable[tuple[str, bytes]]", output: Format) -> None:
    """A line for each file, as a workspace answers. Raises SubmissionRefusedError when one was refused."""
    kept, rows = [], []
    for file, content in files:
        try:
            kept.append((file, asked.submit(content).data["digest"]))
        except (RefusedError, UsageError) as error:
            rows.append(_refused_row(file, getattr(error, "problem", {})))
    rows += [_row(file, asked.verdict(digest).data) for file, digest in kept]
    emit_rows(rows, output)
    refused = [row["code"] for row in rows if row["result"] == "refused"]
    if refused:
        raise SubmissionRefusedError(f"{len(refused)} of {len(rows)} refused: {', '.join(sorted(set(refused)))}")


def _row(file: str, told: "SubmissionFact") -> dict[str, Any]:
    return {
        "file": file,
        "uid": told["uid"],
        "kind": told["kind"],
        "epoch": told["epoch"],
        "result": told["state"],
        "code": told["code"],
        "detail": told["detail"],
        "remedy": told["remedy"],
    }


def _refused_row(file: str, problem: dict[str, Any]) -> dict[str, Any]:
    return {
        "file": file,
        "uid": None,
        "kind": "file",
        "epoch": None,
        "result": "refused",
        "code": str(problem.get("code", "")),
        "detail": str(problem.get("detail", "")),
        "remedy": str(problem.get("hint", "")),
    }
