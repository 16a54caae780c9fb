"""The governance scripts, each on a real chain: dry run, announcement, delay, execution, and an epoch that pays so.

Two networks with the same evidence in every epoch: one that nobody governs, and one that only the scripts govern.
"""

import contextlib
import importlib
import io
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from ledger.chain.claims import ClaimsPausedError
from ledger.chain.local.demo_time import DemoTime
from ledger.db import epochs
from ledger.demo.verifier import BatchChain, DemoVerifier, demo_signer
from ledger.demo.worked_example import WorkedExample
from ledger.evidence.items.batch import SignedBatch
from ledger.evidence.items.records import Window
from ledger.evidence.items.typed_data import Domain, Schema
from ledger.model.allocation import Totals
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber, Hash32, Wei
from ledger.rehearsal import Rehearsal
from ledger.rules.statements import operator_totals
from ledger.simulation.comparison import Change, Comparison
from ledger.steps.governing.simulate import announced_proposal, proposal, simulate
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.statements import statements_of
from ledger.steps.recorded.totals import totals_of
from ledger.tree.keccak import checksum_address

SCRIPTS = Path(__file__).parents[2] / "scripts"
GREEN, PRICE, ADDED, RETIRED = (EpochNumber(epoch) for epoch in (2, 3, 4, 5))
NEW_GREEN_BPS = 2250
NEW_PRICE_WEI = Wei(880 * 10**18)


class EveryEpoch(WorkedExample):
    """The worked example's readings again in every epoch, and a second meter that nobody has given a role yet."""

    second_meter = DemoVerifier(name="second", schema=Schema.ENERGY, signer=demo_signer(b"tests", "second meter"))

    def batches(
        self, epoch: EpochNumber, domain: Domain, roles_block_hash: Hash32 | None = None
    ) -> Iterator[SignedBatch]:
        window = Window(start=self.calendar.start(epoch), end=self.calendar.end(epoch))
        frames = {
            Schema.UPTIME: self._uptime_records(window),
            Schema.ENERGY: self._energy_records(window),
            Schema.RENEWABLE: self._claim_records(window),
            Schema.GRID: self._grid_records(window),
        }
        for verifier in self.verifiers:
            yield BatchChain(verifier, domain, self.calendar, epoch).add(frames[verifier.schema])
        worse = frames[Schema.ENERGY].with_columns((pl.col("pue_e4") + 500).cast(pl.Int64))
        yield BatchChain(self.second_meter, domain, self.calendar, epoch).add(
            worse.cast(frames[Schema.ENERGY].schema)  # type: ignore[arg-type]
        )


def settle(rehearsal: Rehearsal, ledger: Ledger, last: int) -> None:
    for epoch in range(last + 1):
        rehearsal.attest(ledger, EpochNumber(epoch))
    for epoch in range(last + 1):
        list(rehearsal.settle(ledger, EpochNumber(epoch)))


def payouts(ledger: Ledger, epoch: EpochNumber) -> dict[bytes, int]:
    with ledger.database.reading() as session:
        attempt = epochs.current(session, epoch).attempt
        frame = statements_of(ledger.artefacts, session, epoch, attempt)
    return {total.operator: total.pay_wei for total in operator_totals(frame)}


def totals(ledger: Ledger, epoch: EpochNumber) -> Totals:
    with ledger.database.reading() as session:
        return replace(totals_of(session, epoch), epoch=EpochNumber(0))


def policy_version(ledger: Ledger, epoch: EpochNumber) -> int:
    with ledger.database.reading() as session:
        return int(epochs.facts(session, epoch, EpochState.FROZEN)["policyVersion"])


@pytest.fixture(scope="module")
def ungoverned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    rehearsal = Rehearsal.create(tmp_path_factory.mktemp("ungoverned") / "ledger", EveryEpoch())
    ledger = rehearsal.deploy(lambda _: None)
    rehearsal.register(ledger)
    settle(rehearsal, ledger, PRICE)
    yield ledger
    ledger.close()
    rehearsal.stop()


class Stage:
    """The governed network, its scripts and what they said."""

    def __init__(self, rehearsal: Rehearsal, ledger: Ledger) -> None:
        self.rehearsal, self.ledger = rehearsal, ledger
        self.heard: dict[str, list[str]] = {}

    def play(self, script: str, role: str, *arguments: str | int) -> str:
        """One run of a script in this process: what it said. It must succeed."""
        code, said = self.attempt(script, role, *arguments)
        assert code == 0, said
        return said

    def attempt(self, script: str, role: str, *arguments: str | int) -> tuple[int, str]:
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = importlib.import_module(script).main(self.arguments(role, *arguments))
        return code, said.getvalue()

    def arguments(self, role: str, *arguments: str | int) -> list[str]:
        root = self.rehearsal.workspace.root
        keys = ["--keystore", str(root / "keys" / f"{role}.json"), "--password-file", str(root / "keys" / "password")]
        return ["--workspace", str(root), *keys, *map(str, arguments)]

    def through_the_delay(self, script: str, role: str, *arguments: str | int) -> list[str]:
        """Dry run, announcement, once more too early, execution after the delay, once more."""
        before = self.head()
        said = [self.play(script, role, *arguments)]
        assert self.head() == before
        said += [self.play(script, role, *arguments, "--broadcast") for _ in range(2)]
        self.wait()
        said += [self.play(script, role, *arguments, "--broadcast") for _ in range(2)]
        return said

    def head(self) -> int:
        return self.ledger.settlement().connection.head().number

    def wait(self) -> None:
        time = DemoTime(self.ledger.settlement().connection)
        time.jump_to(self.ledger.clock.now() + 6 * 3600)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Four decisions before genesis, then six epochs."""
    rehearsal = Rehearsal.create(tmp_path_factory.mktemp("governed") / "ledger", EveryEpoch())
    ledger = rehearsal.deploy(lambda _: None)
    rehearsal.register(ledger)
    sys.path.insert(0, str(SCRIPTS))
    stage = Stage(rehearsal, ledger)
    meter = checksum_address(EveryEpoch.second_meter.address)
    stage.heard = {
        "green": stage.through_the_delay(
            "raise_green_multiplier", "governor", "--to-bps", NEW_GREEN_BPS, "--effective-epoch", GREEN
        ),
        "price": stage.through_the_delay(
            "change_carbon_price", "governor", "--to-wei", NEW_PRICE_WEI, "--effective-epoch", PRICE
        ),
        "add": stage.through_the_delay(
            "add_verifier", "governor", "--schema", "energy", "--verifier", meter, "--from-epoch", ADDED
        ),
        "retire": stage.through_the_delay(
            "retire_verifier", "governor", "--schema", "energy", "--verifier", meter, "--from-epoch", RETIRED
        ),
    }
    settle(rehearsal, ledger, RETIRED)
    yield stage
    sys.path.remove(str(SCRIPTS))
    ledger.close()
    rehearsal.stop()


@pytest.mark.parametrize("decision", ["green", "price", "add", "retire"])
def test_a_decision_is_planned_announced_once_executed_once(stage: Stage, decision: str) -> None:
    planned, announced, waiting, executed, again = stage.heard[decision]
    assert "dry run: nothing was sent" in planned
    assert "transaction 0x" in announced
    assert "announced; run the same command again" in announced
    assert "transaction" not in waiting
    assert "announced; run the same command again" in waiting
    assert executed.endswith("done\n")
    assert again == "done already\n"


def test_the_scripts_move_payouts_by_exactly_what_the_simulation_said(ungoverned: Ledger, stage: Stage) -> None:
    """The simulation over the sealed epoch of the one network, the sealed epoch of the other: the same wei."""
    said = simulate(ungoverned, proposal(ungoverned, {"gMatchBps": NEW_GREEN_BPS}, is_whole=False), [GREEN])
    before, after = payouts(ungoverned, GREEN), payouts(stage.ledger, GREEN)
    assert policy_version(stage.ledger, GREEN) == 2
    assert {change.key: change.delta_wei for change in said.comparison.operators} == {
        operator: after[operator] - before[operator] for operator in before
    }
    assert len(set(_deltas(said.comparison.operators))) == 3
    assert any(_deltas(said.comparison.operators))


def test_replayed_under_the_old_policy_the_new_epoch_gives_the_same_difference_back(
    ungoverned: Ledger, stage: Stage
) -> None:
    back = simulate(stage.ledger, announced_proposal(stage.ledger, 1), [GREEN]).comparison
    before, after = payouts(ungoverned, GREEN), payouts(stage.ledger, GREEN)
    assert {change.key: change.delta_wei for change in back.operators} == {
        operator: before[operator] - after[operator] for operator in before
    }


def test_the_carbon_price_moves_the_carve_out_by_what_the_simulation_said(ungoverned: Ledger, stage: Stage) -> None:
    wanted = {"gMatchBps": NEW_GREEN_BPS, "carbonPriceWeiPerTonne": NEW_PRICE_WEI}
    said: Comparison = simulate(ungoverned, proposal(ungoverned, wanted, is_whole=False), [PRICE]).comparison
    sealed = totals(stage.ledger, PRICE)
    assert policy_version(stage.ledger, PRICE) == 3
    assert (said.after.carbon_wei, said.after.payout_wei) == (sealed.carbon_wei, sealed.payout_wei)
    assert sealed.carbon_wei == -(-sealed.residual_ug * NEW_PRICE_WEI // 10**12)
    assert sealed.carbon_wei > totals(ungoverned, PRICE).carbon_wei


def test_an_added_verifier_counts_from_its_epoch_on_and_a_retired_one_no_more(stage: Stage) -> None:
    assert payouts(stage.ledger, ADDED) != payouts(stage.ledger, PRICE)
    assert totals(stage.ledger, ADDED).residual_ug > totals(stage.ledger, PRICE).residual_ug  # the worse PUE counts
    assert totals(stage.ledger, RETIRED) == totals(stage.ledger, PRICE)
    assert payouts(stage.ledger, RETIRED) == payouts(stage.ledger, PRICE)


def test_epochs_before_the_change_are_paid_as_if_nothing_had_been_decided(ungoverned: Ledger, stage: Stage) -> None:
    for epoch in (EpochNumber(0), EpochNumber(1)):
        assert payouts(stage.ledger, epoch) == payouts(ungoverned, epoch)


def test_claims_rest_at_once_and_go_on_after_the_delay(stage: Stage) -> None:
    assert "dry run" in stage.play("pause_claims", "guardian")
    assert stage.play("pause_claims", "guardian", "--broadcast").endswith("done\n")
    assert stage.play("pause_claims", "guardian", "--broadcast") == "done already\n"
    with pytest.raises(ClaimsPausedError):
        stage.rehearsal.claim(stage.ledger, 0)
    said = stage.through_the_delay("resume_claims", "governor")
    assert said[3].endswith("done\n")
    stage.rehearsal.claim(stage.ledger, 0)
    wallet = stage.rehearsal.network.operators[0].address
    settlement = stage.ledger.settlement()
    earned = sum(payouts(stage.ledger, EpochNumber(epoch))[wallet] for epoch in range(RETIRED + 1))
    assert settlement.deployment.token(settlement.connection).balance_wei(wallet, "latest") == earned


def test_what_the_policy_or_a_role_refuses_ends_with_exit_code_7(stage: Stage) -> None:
    code, said = stage.attempt("raise_green_multiplier", "governor", "--to-bps", 5000, "--effective-epoch", 90)
    assert (code, "g_match_bps moves by 2750, at most 250 at once" in said) == (7, True)
    code, said = stage.attempt("pause_claims", "governor")
    assert (code, "governance.role" in said) == (7, True)
    code, said = stage.attempt("raise_green_multiplier", "governor", "--to-bps", 2300, "--effective-epoch", 4)
    assert (code, "policy.notice" in said) == (7, True)


def test_a_script_is_a_program_of_its_own(stage: Stage, tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPTS / "pause_claims.py"), *stage.arguments("guardian")]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert "dry run: nothing was sent" in run.stdout


def _deltas(changes: tuple[Change, ...]) -> list[int]:
    return [change.delta_wei for change in changes]
