"""Plays a rehearsal in a workspace as a process of its own, to be killed and started again.

    python tests/fault/rehearsal_process.py play NETWORK WORKSPACE     once, from start to end
    python tests/fault/rehearsal_process.py serve                      plays on request, each in a fresh process

`serve` reads one JSON object per line (network, workspace, faultpoint, times) and forks: a start then costs a
tenth of a second, because everything is imported already. It answers with a line per start and per end. `times` 2
does every step twice in a row.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import eth_account  # noqa: F401 - what the ledger imports late is imported before the fork
import eth_keyfile  # noqa: F401
import requests  # noqa: F401
import web3.providers.rpc  # noqa: F401

from ledger.cli.service.demo import CLAIMANTS
from ledger.db.faultpoint import FAULTPOINT_VARIABLE
from ledger.demo.network import DemoNetwork
from ledger.demo.worked_example import WorkedExample
from ledger.model.errors import LedgerError
from ledger.model.units import EpochNumber, to_hex
from ledger.rehearsal import GOVERNED_EPOCH, Network, Rehearsal
from ledger.steps.ledger import Ledger
from ledger.tree.standard import LeafNotFoundError

OUTCOME_FILE = "outcome.json"
"""Beside the workspace: what the chain says at the end."""
REFUSED = 7
"""Exit code of a run that ended with an error of the ledger's own."""


def network_named(name: str) -> tuple[Network, int]:
    """The worked example with its one epoch, or so many nodes over three days (`40`)."""
    if name == "example":
        return WorkedExample(), 1
    return DemoNetwork(nodes=int(name)), 3


def play(name: str, root: Path, times: int = 1) -> None:
    """The whole flow, in the order of `ath-ledger demo`."""
    network, days = network_named(name)
    rehearsal = [Rehearsal.create(root, network) for _ in range(times)][-1]
    with rehearsal.workspace.reshaping():
        for _ in range(times - 1):
            rehearsal.deploy(_mark).close()
        ledger = rehearsal.deploy(_mark)
        for what in _days(rehearsal, ledger, days, range(times)):
            _mark(what)
        for _ in range(times):
            rehearsal.finish(ledger)
        _write_outcome(root, network, ledger)
        ledger.close()
        rehearsal.stop()


def _days(rehearsal: Rehearsal, ledger: Ledger, days: int, times: range) -> Iterator[str]:
    for _ in times:
        yield f"registered {rehearsal.register(ledger).admitted}"
    for _ in times if days > GOVERNED_EPOCH else ():
        yield from map(str, rehearsal.govern(ledger))
    for day in range(days):
        for _ in times:
            yield f"attested {rehearsal.attest(ledger, EpochNumber(day)).admitted}"
        if day:
            yield from _settled(rehearsal, ledger, EpochNumber(day - 1), times)
    yield from _settled(rehearsal, ledger, EpochNumber(days - 1), times)


def _settled(rehearsal: Rehearsal, ledger: Ledger, epoch: EpochNumber, times: range) -> Iterator[str]:
    for _ in times:
        for result in rehearsal.settle(ledger, epoch):
            yield str(result)
    for rank in range(min(CLAIMANTS, len(rehearsal.network.operators) - 1)):
        for _ in times:
            with suppress(LeafNotFoundError):  # in a small network an operator may have earned nothing yet
                yield f"claimed {rehearsal.claim(ledger, rank).cumulative_wei}"


def _write_outcome(root: Path, network: Network, ledger: Ledger) -> None:
    """Every block, and what every account of the network has and has claimed on chain."""
    settlement = ledger.settlement()
    chain, deployment = settlement.connection, settlement.deployment
    head = chain.head()
    token, contract = deployment.token(chain), settlement.rewards_ledger
    accounts = [signer.address for signer in network.operators]
    holders = [*accounts, deployment.treasury, deployment.reserve, deployment.addresses["CarbonVault"]]
    outcome = {
        "blocks": [to_hex(block.hash) for block in chain.blocks(range(head.number + 1))],
        "claimed": [contract.claimed_wei(account, head.hash) for account in accounts],
        "balances": [token.balance_wei(account, head.hash) for account in holders],
        "lastHeader": to_hex(contract.last_header_hash(head.hash)),
        "claimRoot": to_hex(contract.claim_root(head.hash)),
    }
    (root.parent / OUTCOME_FILE).write_text(json.dumps(outcome), encoding="utf-8")


def _mark(what: str) -> None:
    sys.stderr.write(what + "\n")
    sys.stderr.flush()


def serve() -> None:
    """Fork a player for every line that is read."""
    if threading.active_count() != 1:
        raise SystemExit("a process with threads cannot be forked safely")
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            os.environ[FAULTPOINT_VARIABLE] = order["faultpoint"]
            _play_and_exit(order["network"], Path(order["workspace"]), order["times"])
        _answer({"started": child})
        _, status = os.waitpid(child, 0)
        _answer({"ended": os.waitstatus_to_exitcode(status)})


def _answer(what: dict[str, int]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def _play_and_exit(name: str, root: Path, times: int) -> None:
    # no way back into the server: neither its loop nor what it has buffered belongs to the child
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    code = 1
    try:
        log = os.open(root.parent / "play.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, sys.stderr.fileno())
        play(name, root, times)
        code = 0
    except LedgerError as error:
        _mark(str(error))
        code = REFUSED
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        play(sys.argv[2], Path(sys.argv[3]))
