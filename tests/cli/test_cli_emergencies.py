"""Both emergencies, rehearsed through the command line: a header revoked in its window, and a wrong root corrected."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger.books.posting import Chain
from ledger.chain.local.anvil import stop_detached
from ledger.cli.edge import run
from ledger.db import corrections, epochs, journal
from ledger.demo.network import DemoNetwork
from ledger.model.epoch import EpochState
from ledger.model.units import Address, EpochNumber, Wei, to_hex
from ledger.rehearsal import Rehearsal
from ledger.steps.correcting.draft import standing_epoch
from ledger.steps.drive import step
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.sealed import header_of, standing_header
from ledger.steps.transitions.transition import Waiting
from ledger.tree.commitments import header_hash
from ledger.tree.keccak import checksum_address

FIRST, SECOND = EpochNumber(0), EpochNumber(1)
MOVED = Wei(10**18)
REASON = "the meter of node 0 was counted twice"


class Desk:
    """The command line to a network that is being rehearsed."""

    def __init__(self, rehearsal: Rehearsal, ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
        self.rehearsal, self.ledger, self.capsys = rehearsal, ledger, capsys
        self.root = rehearsal.workspace.root

    def do(self, *arguments: str | Path) -> tuple[int, str, str]:
        self.capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        out, err = self.capsys.readouterr()
        return code, out, err

    def act(self, role: str, *arguments: str | Path, refused: bool = False) -> dict[str, Any]:
        keys = ("--keystore", self.root / f"keys/{role}.json", "--password-file", self.root / "keys/password")
        code, out, err = self.do("gov", *arguments, *keys, "--broadcast", "-o", "json")
        assert (code != 0) is refused, err
        return {"error": err} if refused else json.loads(out)["data"]

    def delayed(self, *arguments: str | Path) -> dict[str, Any]:
        """The governor announces, waits and executes."""
        announced = self.act("governor", *arguments)
        assert announced["state"] == "waiting"
        assert self.act("governor", *arguments)["operation"] == announced["operation"]  # twice is harmless
        early = self.act("governor", "execute", announced["operation"], refused=True)
        assert "governance.operation-closed" in early["error"]
        self.do("chain", "warp", "--to", announced["ready_at"], "--blocks", "1")
        assert self.act("governor", "execute", announced["operation"])["state"] == "executed"
        self.do("chain", "warp", "--by", "12", "--blocks", "1")
        return announced

    def plan_proposal(self, epoch: EpochNumber) -> None:
        """Freeze, compute, seal, and plan to propose; nothing is sent."""
        states = (getattr(result, "state", None) for result in self.rehearsal.settle(self.ledger, epoch))
        assert EpochState.PROPOSED in states


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    for name in ("ETH_KEYSTORE", "ETH_PASSWORD", "ETH_FROM", "ETH_RPC_URL"):
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "ledger"
    monkeypatch.setenv("ATH_LEDGER_WORKSPACE", str(root))
    rehearsal = Rehearsal.create(root, DemoNetwork(nodes=10))
    ledger = rehearsal.deploy(lambda _step: None)
    rehearsal.register(ledger)
    rehearsal.attest(ledger, FIRST)
    yield Desk(rehearsal, ledger, capsys)
    ledger.close()
    stop_detached(root / "chain")


def settle(desk: Desk, epoch: EpochNumber) -> None:
    results = list(desk.rehearsal.settle(desk.ledger, epoch))
    assert not isinstance(results[-1], Waiting), results[-1]
    with desk.ledger.database.reading() as session:
        assert epochs.state_of(session, epoch) is EpochState.FINAL


def assert_everything_agrees(desk: Desk) -> None:
    """Books, headers, claims and chain, by every check there is."""
    ledger = desk.ledger
    desk.rehearsal.finish(ledger)
    contract = ledger.settlement().rewards_ledger
    with ledger.database.reading() as session:
        balance = journal.trial_balance(session)
        journal.verify_journal(session)
        last = epochs.last_final(session)
        assert balance.is_balanced, balance.violations
        assert contract.last_header_hash("latest") == header_hash(standing_header(session, last))
        assert contract.claim_root("latest") == standing_header(session, last).claim_root
    _, leaves = standing_epoch(ledger)
    for account, cumulative in leaves.items():
        payable = balance.accounts[f"operator/{to_hex(account)}/payable"].net
        claimed = balance.accounts.get(f"operator/{to_hex(account)}/claimed")
        on_chain = contract.claimed_wei(account, "latest")
        assert (0 if claimed is None else claimed.net) == on_chain
        assert payable == cumulative - on_chain
    for command in ("verify", "reconcile", "watch --once"):
        code, _, err = desk.do("audit", *command.split())
        assert code == 0, err


def test_a_wrong_header_is_revoked_in_its_window_and_a_wrong_active_root_is_corrected(
    desk: Desk, tmp_path: Path
) -> None:
    ledger, rehearsal = desk.ledger, desk.rehearsal
    desk.plan_proposal(FIRST)
    step(ledger, FIRST)  # sends it

    assert desk.act("guardian", "revoke-epoch")["epoch"] == FIRST
    assert "already" in desk.act("guardian", "revoke-epoch")
    desk.delayed("reopen")
    assert "already" in desk.act("governor", "reopen")
    settle(desk, FIRST)
    with ledger.database.reading() as session:
        assert epochs.current(session, FIRST).attempt == 2
    rehearsal.claim(ledger, 0)
    assert_everything_agrees(desk)

    # the second epoch is sealed, and its proposal planned, on the tree that turns out to be wrong
    rehearsal.attest(ledger, SECOND)
    desk.plan_proposal(SECOND)
    _, before = standing_epoch(ledger)
    claimant = rehearsal.network.operators[0].address
    loser, winner = [each for each in sorted(before, key=lambda one: -before[one]) if each != claimant][:2]

    correct = correction(before, loser, -MOVED, winner, MOVED)
    assert "correction.not-paused" in desk.act("governor", *correct, refused=True)["error"]
    desk.act("guardian", "pause")
    below = desk.act("governor", *correction(before, claimant, -1, winner, 0), refused=True)
    assert "correction.below-claimed" in below["error"]
    above = desk.act("governor", *correction(before, loser, 0, winner, 1), refused=True)
    assert "correction.above-paid-in" in above["error"]
    nothing = desk.act("governor", *correction(before, loser, 0, winner, 0), refused=True)
    assert "correction.nothing" in nothing["error"]
    assert "governance.role" in desk.act("guardian", *correct, refused=True)["error"]

    whole = tmp_path / "tree.json"
    after = before | {loser: Wei(before[loser] - MOVED), winner: Wei(before[winner] + MOVED)}
    whole.write_text(json.dumps([[to_hex(account), str(wei)] for account, wei in after.items()]))
    announced = desk.delayed("supersede", "--reason", REASON, "--tree", whole)
    assert announced["correction"] == 1
    again = desk.act("governor", "supersede", "--reason", REASON, "--tree", whole)
    assert "operation" not in again  # it is on chain; a ledger that did not know the tree would keep it now
    assert again["correction_header"] == announced["correction_header"]
    with ledger.database.reading() as session:
        assert epochs.current(session, SECOND).attempt == 2
    waiting = [step(ledger, SECOND) for _ in range(3)][-1]
    assert isinstance(waiting, Waiting)
    assert "claims are paused" in waiting.why
    assert (
        "correction.nothing"
        in desk.act("governor", "supersede", "--reason", REASON, "--tree", whole, refused=True)["error"]
    )
    with ledger.database.reading() as session:
        kept = corrections.booked(session, FIRST)
        assert kept is not None
        assert kept.leaves[winner] == before[winner] + MOVED
        assert header_of(session, FIRST).claim_root != standing_header(session, FIRST).claim_root
    desk.delayed("resume")

    quote = rehearsal.claim(ledger, operator_rank(rehearsal, winner))
    assert quote.claimable_wei == before[winner] + MOVED
    assert_everything_agrees(desk)
    settle(desk, SECOND)
    with ledger.database.reading() as session:
        assert header_of(session, SECOND).parent_hash == header_hash(standing_header(session, FIRST))
    rehearsal.claim(ledger, operator_rank(rehearsal, loser))
    assert_everything_agrees(desk)

    bundle = tmp_path / "epoch-1.zip"
    assert desk.do("audit", "export", "--epoch", "1", "--out", bundle)[0] == 0
    assert desk.do("audit", "verify", bundle)[0] == 0
    assert_proofs_lead_over_the_correction(desk, tmp_path)


def assert_proofs_lead_over_the_correction(desk: Desk, folder: Path) -> None:
    """Entries before, at and after the correction, the whole stretch, and the report: each names a header on chain."""
    with desk.ledger.database.reading() as session:
        entries = [(entry.seq, entry.kind) for entry in journal.entries(session, chain=Chain.SEAL)]
        stands = {"0x" + header_hash(standing_header(session, epoch)).hex() for epoch in (FIRST, SECOND)}
        own = "0x" + header_hash(header_of(session, FIRST)).hex()
    for place, (seq, kind) in enumerate(entries):
        proof = folder / f"entry-{place}.json"
        assert desk.do("audit", "prove-entry", "--seq", str(seq), "--out", proof)[0] == 0, kind
        code, out, err = desk.do("audit", "check-proof", proof, "-o", "json")
        assert code == 0, err
        assert json.loads(out)["data"]["header_hash"] in {own, *stands}
    stretch = folder / "extension.json"
    code, _, err = desk.do("audit", "prove-extension", "--from", "0", "--to", "1", "--out", stretch)
    assert code == 0, err
    code, out, err = desk.do("audit", "check-proof", stretch, "-o", "json")
    assert code == 0, err
    assert json.loads(out)["data"]["header_hash"] in stands
    document = json.loads(stretch.read_text())
    assert [int(header["epoch"]) for header in document["headers"]] == [FIRST, FIRST, SECOND]
    document["headers"][1]["payout"] = "1"
    stretch.write_text(json.dumps(document, separators=(",", ":"), sort_keys=True))
    assert desk.do("audit", "check-proof", stretch)[0] == 4
    code, out, err = desk.do("audit", "report", "--epoch", "0")
    assert code == 0, err
    assert "its claim tree was superseded" in out
    assert own not in out


def operator_rank(rehearsal: Rehearsal, account: Address) -> int:
    return next(rank for rank, each in enumerate(rehearsal.network.operators) if each.address == account)


def correction(before: dict[Address, Wei], one: Address, gain: int, other: Address, more: int) -> list[str]:
    command = ["supersede", "--reason", REASON]
    for account, change in ((one, gain), (other, more)):
        command += ["--account", checksum_address(account), "--cumulative", str(before[account] + change)]
    return command
