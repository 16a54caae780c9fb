"""A watcher with evidence of its own against a publisher that cheats: on a real chain, with the publisher's own key."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from ledger.audit.calculator import recompute
from ledger.audit.outcome import cumulative_leaves, operator_lines
from ledger.chain.contracts.contract import Call
from ledger.chain.errors import ChainUnreachableError
from ledger.chain.following.epoch_history import Happening, epoch_history
from ledger.chain.local.anvil import find_running
from ledger.chain.local.demo_time import DemoTime
from ledger.chain.sending.signer import KeySigner
from ledger.chain.sending.transact import plan_transaction, send
from ledger.cli.edge import run
from ledger.db import policies as policy_rows
from ledger.demo.verifier import BatchChain
from ledger.demo.worked_example import WorkedExample
from ledger.evidence.items.batch import SignedBatch
from ledger.evidence.items.records import Window
from ledger.evidence.items.typed_data import Domain, Schema
from ledger.evidence.judging.acceptance import judge
from ledger.model.epoch import EpochState
from ledger.model.header import EpochHeader
from ledger.model.units import Address, Bps, EpochNumber, Hash32, Timestamp, Wei
from ledger.rehearsal import GOVERNANCE_DELAY_SECONDS, SETTLING_SECONDS, Rehearsal, role_key
from ledger.steps.drive import state_of, step
from ledger.steps.intake.collect import submit_item
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.frozen import load_frozen
from ledger.steps.recorded.sealed import header_of, tree_of
from ledger.steps.recorded.totals import opening_of
from ledger.steps.transitions.seal import cumulative_before
from ledger.steps.watching import webhook
from ledger.steps.watching.derivation import Walked, derive
from ledger.steps.watching.look import Verdict
from ledger.steps.watching.response import Action, MissingPolicy, NotGuardianError, Response, require_guardian
from ledger.steps.watching.watch import Watch
from ledger.tree.commitments import header_hash
from ledger.tree.payout import payout_tree
from ledger.workspace import Workspace

EPOCHS = tuple(EpochNumber(epoch) for epoch in range(3))
LAST = EPOCHS[-1]
GUARDIAN = KeySigner(role_key("guardian"))


class BusyExample(WorkedExample):
    """The worked example with the same readings in every epoch."""

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


@dataclass(frozen=True)
class Scene:
    """A publisher with epoch 2 sealed and not proposed, and two workspaces that are not the publisher's."""

    publisher: Ledger
    watcher: Path
    late: Path
    """The same without the evidence of the last epoch."""

    def open(self) -> Ledger:
        return Workspace.at(self.watcher).open(read_only=True)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("watched")
    network = BusyExample()
    rehearsal = Rehearsal.create(folder / "publisher", network)
    publisher = rehearsal.deploy(lambda _: None)
    rehearsal.register(publisher)
    watcher = _own_workspace(rehearsal, folder / "watcher")
    for registration in network.registrations(publisher.domain):
        assert submit_item(watcher, registration).is_admitted
    _schedule(publisher, rehearsal)
    for epoch in EPOCHS:
        rehearsal.attest(publisher, epoch)
        if epoch == LAST:
            watcher.close()
            shutil.copytree(folder / "watcher", folder / "late")
            watcher = Workspace.at(folder / "watcher").open()
        for batch in network.batches(epoch, publisher.domain):
            assert submit_item(watcher, batch).is_admitted
    watcher.close()
    for epoch in EPOCHS[:-1]:
        list(rehearsal.settle(publisher, epoch))
        assert state_of(publisher, epoch) is EpochState.FINAL
    DemoTime(publisher.settlement().connection).jump_to(Timestamp(publisher.calendar.cut_off(LAST) + 1200))
    while state_of(publisher, LAST) is not EpochState.SEALED:
        step(publisher, LAST)
    yield Scene(publisher, folder / "watcher", folder / "late")
    publisher.close()
    rehearsal.stop()


def _own_workspace(rehearsal: Rehearsal, root: Path) -> Ledger:
    """Settings, deployment and tables; no key, no books."""
    running = find_running(rehearsal.workspace.chain_folder)
    assert running is not None
    made = Workspace.create(root, {"rpc_url": running.rpc_url, "clock": "chain"})
    shutil.copyfile(rehearsal.workspace.deployment_file, made.deployment_file)
    ledger = made.open()
    with ledger.database.transaction() as session:
        policy_rows.record_tables(session, rehearsal.network.tables, recorded_at=Timestamp(0))
    return ledger


def _schedule(publisher: Ledger, rehearsal: Rehearsal) -> None:
    """From epoch 2 on matched energy earns more."""
    settlement = publisher.settlement()
    connection = settlement.connection
    policy = rehearsal.network.policy
    changed = replace(policy, g_match_bps=Bps(policy.g_match_bps + 250))
    call = settlement.deployment.policy_registry(connection).schedule(changed, LAST)
    manager = settlement.deployment.access_manager(connection)
    governor = KeySigner(role_key("governor"))
    _send(publisher, governor, manager.schedule(call))
    DemoTime(connection).jump_to(Timestamp(connection.head().timestamp + GOVERNANCE_DELAY_SECONDS))
    _send(publisher, governor, manager.execute(call))


def _send(ledger: Ledger, signer: KeySigner, call: Call) -> None:
    connection = ledger.settlement().connection
    send(connection, signer, plan_transaction(connection, signer.address, call))


@pytest.fixture
def chain(scene: Scene) -> Iterator[Ledger]:
    """The publisher's ledger on a chain that is afterwards what it was before."""
    connection = scene.publisher.settlement().connection
    snapshot = connection.rpc("evm_snapshot")
    yield scene.publisher
    connection.rpc("evm_revert", snapshot)
    DemoTime(connection)


def propose(publisher: Ledger, header: EpochHeader) -> None:
    """Put a header on chain with the publisher's own key, past every check of its ledger."""
    _send(publisher, KeySigner(role_key("publisher")), publisher.settlement().rewards_ledger.propose_epoch(header))


def honest(publisher: Ledger) -> EpochHeader:
    with publisher.database.reading() as session:
        return header_of(session, LAST)


def leaves_of(publisher: Ledger) -> dict[Address, int]:
    with publisher.database.reading() as session:
        tree = tree_of(publisher, session, LAST)
    return {Address(bytes(account)): int(amount) for account, amount in (tree.value_at(i) for i in range(len(tree)))}


def root_of(leaves: Mapping[Address, int]) -> Hash32:
    return payout_tree(list(leaves), [Wei(amount) for amount in leaves.values()]).root


def one_leaf_inflated(publisher: Ledger) -> EpochHeader:
    leaves = leaves_of(publisher)
    leaves[next(iter(leaves))] += 1
    return replace(honest(publisher), claim_root=root_of(leaves))


def one_operator_dropped(publisher: Ledger) -> EpochHeader:
    leaves = leaves_of(publisher)
    leaves.pop(next(iter(leaves)))
    return replace(honest(publisher), claim_root=root_of(leaves))


def last_epochs_policy(publisher: Ledger) -> EpochHeader:
    with publisher.database.reading() as session:
        before = load_frozen(publisher, session, EpochNumber(LAST - 1))
        frozen = load_frozen(publisher, session, LAST)
        opening, cumulative = opening_of(session, LAST), cumulative_before(publisher, session, LAST)
    assert before.policy != frozen.policy
    result = recompute(judge(frozen).accepted, before.policy, frozen.tables, opening)
    root = root_of(cumulative_leaves(cumulative, operator_lines(result.statements)))
    totals = result.totals
    return replace(
        honest(publisher), claim_root=root, payout=totals.payout_wei, carbon=totals.carbon_wei,
        reserve=totals.reserve_wei, rollover=totals.rollover_out_wei,
    )  # fmt: skip


def carbon_overstated(publisher: Ledger) -> EpochHeader:
    header = honest(publisher)
    return replace(header, carbon=Wei(header.carbon + 10**15), payout=Wei(header.payout - 10**15))


def rollover_kept_back(publisher: Ledger) -> EpochHeader:
    header = honest(publisher)
    return replace(header, rollover=Wei(header.rollover + 1), payout=Wei(header.payout - 1))


def residual_understated(publisher: Ledger) -> EpochHeader:
    header = honest(publisher)
    return replace(header, residual_micrograms=header.residual_micrograms - 1)


def another_manifest(publisher: Ledger) -> EpochHeader:
    return replace(honest(publisher), manifest_hash=Hash32(bytes([1] * 32)))


def other_books(publisher: Ledger) -> EpochHeader:
    return replace(honest(publisher), ledger_head=Hash32(bytes([1] * 32)))


CHEATS: dict[Callable[[Ledger], EpochHeader], set[str]] = {
    one_leaf_inflated: {"claim_root"},
    one_operator_dropped: {"claim_root"},
    last_epochs_policy: {"claim_root"},
    carbon_overstated: {"payout", "carbon"},
    rollover_kept_back: {"payout", "rollover"},
    residual_understated: {"residual_micrograms"},
    another_manifest: {"manifest_hash"},
    other_books: {"ledger_head"},
}


def watch(scene: Scene, **means: Any) -> list[Response]:
    ledger = scene.open()
    try:
        return Watch(ledger=ledger, **means).round()
    finally:
        ledger.close()


def is_pending(publisher: Ledger) -> bool:
    return publisher.settlement().rewards_ledger.pending("latest") is not None


@pytest.mark.parametrize("cheat", CHEATS, ids=lambda cheat: cheat.__name__)
def test_a_header_that_does_not_recompute_is_revoked_in_its_window(
    scene: Scene, chain: Ledger, cheat: Callable[[Ledger], EpochHeader]
) -> None:
    propose(chain, cheat(chain))
    *before, last = watch(scene, guardian=GUARDIAN)
    assert [each.judged.verdict for each in before] == [Verdict.FINE, Verdict.FINE]
    assert (last.judged.verdict, last.action) == (Verdict.WRONG, Action.REVOKED)
    assert {each.where.removeprefix("header · ") for each in last.judged.differences} == CHEATS[cheat]
    assert not is_pending(chain)
    settlement = chain.settlement()
    history = epoch_history(settlement.connection, settlement.deployment, settlement.connection.head())
    (revoked,) = history.of(Happening.REVOKED, LAST)
    assert revoked.tx_hash == last.transaction
    assert not settlement.rewards_ledger.proposals_open("latest")
    assert watch(scene, guardian=GUARDIAN)[-1].judged.epoch == LAST - 1


def test_a_correct_header_is_left_alone_and_reported_fine(scene: Scene, chain: Ledger) -> None:
    propose(chain, honest(chain))
    answers = watch(scene, guardian=GUARDIAN)
    assert [(each.judged.verdict, each.action) for each in answers] == [(Verdict.FINE, Action.NOTHING)] * 3
    assert is_pending(chain)


def test_without_a_key_the_alarm_is_all_there_is(scene: Scene, chain: Ledger) -> None:
    propose(chain, one_leaf_inflated(chain))
    last = watch(scene)[-1]
    assert (last.judged.verdict, last.action) == (Verdict.WRONG, Action.ALARMED)
    assert is_pending(chain)


def test_a_wrong_header_that_is_active_already_is_an_alarm(scene: Scene, chain: Ledger) -> None:
    header = one_leaf_inflated(chain)
    propose(chain, header)
    connection = chain.settlement().connection
    DemoTime(connection).jump_to(Timestamp(connection.head().timestamp + SETTLING_SECONDS))
    _send(chain, KeySigner(role_key("publisher")), chain.settlement().rewards_ledger.activate_epoch(header))
    last = watch(scene, guardian=GUARDIAN)[-1]
    assert last.judged.is_active
    assert (last.judged.verdict, last.action) == (Verdict.WRONG, Action.ALARMED)


@pytest.mark.parametrize(
    ("missing", "action"), [(MissingPolicy.REVOKE, Action.REVOKED), (MissingPolicy.ALARM, Action.ALARMED)]
)
def test_missing_evidence_is_answered_as_chosen(
    scene: Scene, chain: Ledger, tmp_path: Path, missing: MissingPolicy, action: Action
) -> None:
    propose(chain, honest(chain))
    damaged = tmp_path / "damaged"
    shutil.copytree(scene.watcher, damaged)
    batch = next(path for path in sorted((damaged / "evidence" / "batch").rglob("*")) if path.is_file())
    batch.unlink()
    last = watch(replace(scene, watcher=damaged), guardian=GUARDIAN, missing=missing)[-1]
    assert (last.judged.verdict, last.action) == (Verdict.MISSING, action)
    assert is_pending(chain) is (action is Action.ALARMED)


def test_an_epoch_whose_batches_never_came_is_missing_not_wrong(scene: Scene, chain: Ledger) -> None:
    propose(chain, honest(chain))
    last = watch(replace(scene, watcher=scene.late), guardian=GUARDIAN, missing=MissingPolicy.ALARM)[-1]
    assert (last.judged.verdict, last.action) == (Verdict.MISSING, Action.ALARMED)
    assert "no batch of epoch 2" in last.judged.why


def test_only_a_guardian_may_be_trusted_with_the_task(scene: Scene) -> None:
    require_guardian(scene.publisher.settlement(), GUARDIAN)
    with pytest.raises(NotGuardianError, match="no guardian"):
        require_guardian(scene.publisher.settlement(), KeySigner(role_key("publisher")))


def test_the_same_alarm_is_raised_once_and_a_failing_chain_is_waited_for(
    scene: Scene, chain: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, heard, said = scene.open(), [], []
    watching = Watch(ledger=ledger, metrics_file=tmp_path / "watch.prom", told=said.append)
    rounds = iter(range(4))

    def pause() -> None:
        match next(rounds):
            case 0:
                propose(chain, one_leaf_inflated(chain))
            case 1:
                monkeypatch.setattr(watching._watcher, "ledger", _Unreachable())
            case 2:
                monkeypatch.setattr(watching._watcher, "ledger", ledger)
            case _:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watching.forever(pause, heard.append)
    ledger.close()
    assert [len(new) for new in heard] == [2, 1, 0]
    assert len(said) == 1
    text = (tmp_path / "watch.prom").read_text()
    assert "ath_ledger_watch_failed_looks_total 1" in text
    assert "ath_ledger_watch_alarms_total 1" in text
    assert "ath_ledger_watch_pending_epoch 2" in text
    assert 'ath_ledger_watch_pending_verdict{verdict="wrong"} 1' in text
    assert "0x" not in text


class _Unreachable:
    def settlement(self) -> None:
        raise ChainUnreachableError("nobody there")


class Receiver:
    """Somebody who is woken: keeps what is posted, refuses the first `refusals` posts."""

    def __init__(self, refusals: int) -> None:
        self.got: list[dict[str, Any]] = []
        self.posts = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.posts += 1
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if receiver.posts > refusals:
                    receiver.got.append(json.loads(body))
                self.send_response(500 if receiver.posts <= refusals else 204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/alarm"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], Receiver]]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    made: list[Receiver] = []

    def make(refusals: int) -> Receiver:
        made.append(Receiver(refusals))
        return made[-1]

    yield make
    for each in made:
        each.server.shutdown()
        each.server.server_close()


def test_an_alarm_is_posted_again_until_it_is_taken_and_never_for_ever(receiver: Callable[[int], Receiver]) -> None:
    pauses: list[float] = []
    patient = receiver(2)
    assert webhook.post(patient.url, {"epoch": 1}, pauses.append) == ""
    assert (patient.got, pauses) == ([{"epoch": 1}], [1, 2])
    deaf = receiver(99)
    assert webhook.post(deaf.url, {}, pauses.append) == "the webhook answered 500, 3 times"
    assert deaf.posts == webhook.ATTEMPTS
    assert "does not answer" in webhook.post("http://127.0.0.1:1/", {}, pauses.append)


def test_the_command_revokes_posts_and_ends_with_four(
    scene: Scene, chain: Ledger, receiver: Callable[[int], Receiver], capsys: pytest.CaptureFixture[str]
) -> None:
    propose(chain, carbon_overstated(chain))
    woken = receiver(0)
    keys = Path(str(chain.database.engine.url.database)).parent / "keys"
    key = ["--keystore", str(keys / "guardian.json"), "--password-file", str(keys / "password")]
    command = ["audit", "watch", "--once", "-w", str(scene.watcher), "-o", "json"]
    wrong_key = ["--keystore", str(keys / "publisher.json"), "--password-file", str(keys / "password")]
    assert run([*command, *wrong_key]) == 7
    assert is_pending(chain)
    assert run([*command, "--webhook", "ftp://nowhere"]) == 2
    capsys.readouterr()
    assert run([*command, *key, "--webhook", woken.url]) == 4
    out, err = capsys.readouterr()
    last = json.loads(out)["data"][-1]
    assert (last["epoch"], last["verdict"], last["action"]) == (2, "wrong", "revoked")
    assert "watch.alarm" in err
    (alarm,) = woken.got
    assert (alarm["action"], alarm["headerHash"]) == ("revoked", last["header_hash"])
    assert not is_pending(chain)
    assert run(command) == 0


def test_a_revoked_honest_header_is_expected_again_as_attempt_two(tmp_path: Path) -> None:
    first = EpochNumber(0)
    rehearsal = Rehearsal.create(tmp_path / "ledger", WorkedExample())
    ledger = rehearsal.deploy(lambda _: None)
    rehearsal.register(ledger)
    rehearsal.attest(ledger, first)
    for result in rehearsal.settle(ledger, first):
        if result.state is EpochState.PROPOSED:
            break
    step(ledger, first)
    settlement = ledger.settlement()
    with ledger.database.reading() as session:
        original = header_of(session, first)
    _send(ledger, GUARDIAN, settlement.rewards_ledger.revoke_epoch(original))
    governor, manager = KeySigner(role_key("governor")), settlement.deployment.access_manager(settlement.connection)
    reopen = settlement.rewards_ledger.reopen_proposals()
    _send(ledger, governor, manager.schedule(reopen))
    DemoTime(settlement.connection).jump_to(Timestamp(ledger.clock.now() + GOVERNANCE_DELAY_SECONDS))
    _send(ledger, governor, manager.execute(reopen))
    DemoTime(settlement.connection).mine(2)
    for result in rehearsal.settle(ledger, first):
        if result.state is EpochState.PROPOSED:
            break
    step(ledger, first)
    (answer,) = Watch(ledger=ledger).round()
    assert answer.judged.verdict is Verdict.FINE, answer.judged.differences
    assert answer.judged.header_hash != header_hash(original)
    ledger.close()
    rehearsal.stop()


def test_a_proposal_before_the_cut_off_is_wrong_whatever_it_says(tmp_path: Path) -> None:
    first = EpochNumber(0)
    rehearsal = Rehearsal.create(tmp_path / "ledger", WorkedExample())
    ledger = rehearsal.deploy(lambda _: None)
    rehearsal.register(ledger)
    rehearsal.attest(ledger, first)
    settlement = ledger.settlement()
    history = epoch_history(settlement.connection, settlement.deployment, settlement.connection.head())
    propose(ledger, derive(ledger, history, first, Walked()).header)
    (answer,) = Watch(ledger=ledger).round()
    assert [each.where for each in answer.judged.differences] == ["time of the proposal"]
    ledger.close()
    rehearsal.stop()
