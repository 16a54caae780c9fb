"""Write the examples of the HTTP API's documentation: the worked example's own answers. --check: only compare."""

import argparse
import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from http_server import Server, serve  # noqa: E402 - tests/ is no package

from ledger.api.examples import PLACE, shortened  # noqa: E402
from ledger.demo.worked_example import WorkedExample  # noqa: E402
from ledger.evidence.storage.item_files import write_registration  # noqa: E402
from ledger.model.units import EpochNumber  # noqa: E402
from ledger.rehearsal import Rehearsal  # noqa: E402

FILE = ROOT.joinpath("ledger", *PLACE)


def examples(folder: Path) -> dict[str, Any]:
    """Every JSON answer over the settled worked example, by operation id."""
    rehearsal = Rehearsal.create(folder / "ledger", WorkedExample())
    ledger = rehearsal.deploy(lambda _step: None)
    rehearsal.register(ledger)
    rehearsal.attest(ledger, EpochNumber(0))
    for _ in rehearsal.settle(ledger, EpochNumber(0)):
        pass
    rehearsal.claim(ledger, 0)
    rehearsal.finish(ledger)
    registration = next(iter(rehearsal.network.registrations(ledger.domain)))
    content = write_registration(registration, ledger.domain)
    server = serve(folder / "ledger")
    try:
        return dict(sorted(_answers(server, content).items()))
    finally:
        server.close()
        ledger.close()
        rehearsal.stop()


def _answers(server: Server, content: bytes) -> dict[str, Any]:
    document = server.get("/openapi.json").json()
    values = _values(server, content)
    found = {"submit": _whole(server.post(content).json())}
    for path, methods in document["paths"].items():
        if "get" not in methods:
            continue
        operation = methods["get"]["operationId"]
        query = "?from=0&to=0" if "/reports" in path else ""
        answer = server.get(path.format(**values) + query)
        if not answer.headers["content-type"].startswith("application/json") or not path.startswith("/v1"):
            continue
        if answer.status_code != 200:
            raise SystemExit(f"{path} answers {answer.status_code}: {answer.text}")
        found[operation] = _whole(answer.json())
    return found


def _values(server: Server, content: bytes) -> dict[str, str]:
    statement = server.data("/v1/epochs/0/statements?limit=1")[0]
    batch = server.data("/v1/batches?limit=1")[0]
    claimant = next(row for row in server.data("/v1/operators") if row["claimed_wei"] != "0")
    return {
        "epoch": "0",
        "operator": claimant["operator"],
        "node": statement["node_id"],
        "uid": batch["uid"],
        "verifier": batch["verifier"],
        "version": "1",
        "seq": "2",
        "issuance": server.data("/v1/certificates?limit=1")[0]["issuance"],
        "table": "energy",
        "digest": "0x" + hashlib.sha256(content).hexdigest(),
    }


def _whole(answer: dict[str, Any]) -> Any:
    """Without what depends on when a background thread got there."""
    if isinstance(answer.get("data"), dict) and "judged" in answer["data"]:
        received = {"state": "received", "uid": None, "kind": "", "epoch": None, "judged": None}
        answer["data"] |= received
    return shortened(answer)


def main() -> None:
    """Write, or compare."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--check", action="store_true", help="exit with 1 when the file is not what is answered now")
    with tempfile.TemporaryDirectory() as folder:
        made = json.dumps(examples(Path(folder)), indent=1, ensure_ascii=False) + "\n"
    if arguments.parse_args().check:
        if FILE.read_text("utf-8") != made:
            raise SystemExit(f"{FILE.relative_to(ROOT)} is out of date: run scripts/http_examples.py")
        print(f"{FILE.relative_to(ROOT)} is what the API answers")
        return
    FILE.write_text(made, "utf-8")
    print(f"wrote {FILE.relative_to(ROOT)}, {len(made)} bytes")


if __name__ == "__main__":
    main()
