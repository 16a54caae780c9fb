"""A real `ath-ledger serve` in a process of its own, and what tests ask it."""

import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import httpx

PATIENCE_SECONDS = 60
_RUN = "import sys; from ledger.cli.edge import run; sys.exit(run(sys.argv[1:]))"


@dataclass(slots=True)
class Server:
    """One `ath-ledger serve` in processes of its own."""

    process: "subprocess.Popen[bytes]"
    log: TextIO
    url: str = ""

    def said(self) -> str:
        """All it wrote to stderr."""
        self.log.seek(0)
        return self.log.read()

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
        return int(self.process.returncode)

    def close(self) -> None:
        """Stop it and forget what it said."""
        self.stop()
        self.log.close()

    def post(self, content: Any, **headers: str) -> httpx.Response:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.post(f"{self.url}/v1/submissions", content=content, headers=given, timeout=PATIENCE_SECONDS)


def serve(root: Path, *options: str, **environment: str) -> Server:
    """Start a server on a workspace, on a free port, without a rate limit unless one is given; to be stopped."""
    given = {"ATH_LEDGER_HTTP_REQUESTS_PER_SECOND": "0", **environment}
    log = tempfile.TemporaryFile("a+")  # noqa: SIM115 - a pipe that nobody reads would stop the server
    process = subprocess.Popen(
        [sys.executable, "-c", _RUN, "serve", "-w", str(root), "--port", "0", *options],
        stderr=log,
        env={**os.environ, **given},
    )
    server = Server(process, log)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := re.search(r"at (http://127\.0\.0\.1:\d+)/v1", server.said())) is None:
        if process.poll() is not None or time.monotonic() > deadline:
            server.stop()
            raise AssertionError(server.said())
        time.sleep(0.05)
    server.url = found[1]
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
