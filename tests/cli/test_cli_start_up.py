"""What a command that only reads loads before it answers: never what sends, serves, migrates or scores networks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ledger.demo.worked_example import WorkedExample
from ledger.evidence.items.signing import KeySigner
from ledger.tree.keccak import checksum_address

OPERATOR = checksum_address(KeySigner(WorkedExample().operator_key(0)).address)
NEVER = {
    "alembic", "celery", "kombu", "redis", "fastapi", "starlette", "uvicorn", "httpx", "web3", "eth_account", "eth_abi",
    "numpy", "psycopg", "prometheus_client", "structlog",
}  # fmt: skip
"""Packages no answer needs that is about one node or operator on SQLite."""
PROGRAM = """
import contextlib, io, json, sys
from ledger.cli.edge import run
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    code = run(sys.argv[1:])
print(json.dumps([code, sorted(sys.modules)]))
"""


def loaded_by(*arguments: str) -> set[str]:
    """Every module a process of its own has loaded once the command is done."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "COV_", "PYTEST"))}
    call = [sys.executable, "-c", PROGRAM, *arguments]
    ran = subprocess.run(call, capture_output=True, text=True, env=kept, check=True)
    code, modules = json.loads(ran.stdout)
    assert code == 0, arguments
    return set(modules)


def packages(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


@pytest.mark.parametrize(
    "command",
    [
        ("rewards", "show"),
        ("rewards", "show", "--operator", OPERATOR),
        ("rewards", "history", "--operator", OPERATOR),
        ("rewards", "proof", "--operator", OPERATOR),
        ("rewards", "explain", "--operator", OPERATOR),
        ("epoch", "list"),
    ],
    ids=" ".join,
)
def test_an_answer_out_of_books_and_tree_loads_no_columns(settled_example: Path, command: tuple[str, ...]) -> None:
    loaded_by(*command, "-w", str(settled_example))  # derives the index that later commands only open
    loaded = loaded_by(*command, "-w", str(settled_example))
    assert not packages(loaded) & (NEVER | {"polars"})


def test_an_explanation_reckons_one_node_without_columns(settled_example: Path) -> None:
    explained = ("rewards", "explain", "--node", WorkedExample().nodes[0].node_id.hex(), "-w", str(settled_example))
    loaded_by(*explained)
    loaded = loaded_by(*explained)
    assert not packages(loaded) & (NEVER | {"polars"})
    unneeded = {
        "ledger.evidence.judging.acceptance",
        "ledger.rules.v1.scoring",
        "ledger.steps.transitions.compute",
        "ledger.chain.sending.outbox",
    }
    assert not loaded & unneeded


@pytest.mark.parametrize(
    "command", [("--help",), ("rewards", "--help"), ("rewards", "explain", "--help")], ids=" ".join
)
def test_help_loads_neither_database_nor_chain(command: tuple[str, ...]) -> None:
    loaded = loaded_by(*command)
    assert not packages(loaded) & (NEVER | {"polars", "sqlalchemy"})
    assert not {name for name in loaded if name.startswith(("ledger.steps", "ledger.db", "ledger.chain"))}
