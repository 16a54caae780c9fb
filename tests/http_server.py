"""A real `ath-ledger serve` in a process of its own, and what tests ask it."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

PATIENCE_SECONDS = 60
_RUN = "import sys; from ledger.cli.edge import run; sys.exit(run(sys.argv[1:]))"


@dataclass(slots=True)
class Server:
    """One `ath-ledger serve` in processes of its own."""

    process: "subprocess.Popen[str]"
    url: str
    said: list[str] = field(default_factory=list)

    def get(self, path: str, **more: Any) -> httpx.Response:
        return httpx.get(self.url + path, timeout=PATIENCE_SECONDS, **more)

    def data(self, path: str) -> Any:
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def problem(self, path: str, **more: Any) -> tuple[int, str]:
        return problem_in(self.get(path, **more))

    def stop(self) -> int:
        """Ask it to stop, as an operator would; its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stderr is not None and not self.process.stderr.closed:
            self.said += self.process.stderr.read().splitlines(keepends=True)
            self.process.stderr.close()
        return int(self.process.returncode)

    def post(self, content: Any, **headers: str) -> httpx.Response:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.post(f"{self.url}/v1/submissions", content=content, headers=given, timeout=PATIENCE_SECONDS)


def serve(root: Path, *options: str, **environment: str) -> Server:
    """Start a server on a workspace, on a free port, without a rate limit unless one is given; to be stopped."""
    given = {"ATH_LEDGER_HTTP_REQUESTS_PER_SECOND": "0", **environment}
    process = subprocess.Popen(
        [sys.executable, "-c", _RUN, "serve", "-w", str(root), "--port", "0", *options],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **given},
    )
    server = Server(process, "")
    assert process.stderr is not None
    for line in process.stderr:
        server.said.append(line)
        found = re.search(r"at (http://127\.0\.0\.1:\d+)/v1", line)
        if found:
            server.url = found[1]
            break
    else:
        server.stop()
        raise AssertionError("".join(server.said))
    with httpx.Client(transport=httpx.HTTPTransport(retries=20)) as client:
        assert client.get(f"{server.url}/healthz", timeout=PATIENCE_SECONDS).status_code == 200
    return server


def problem_in(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a problem; anything else in an answer that should be one fails."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    document = answer.json()
    assert {"type", "title", "status", "code", "detail", "hint"} <= document.keys()
    assert document["status"] == answer.status_code
    assert "Traceback" not in answer.text
    assert 'File "' not in answer.text
    return answer.status_code, document["code"]
