"""One ledger on one chain behind proxies, driven as a patient operator would, and what is left of it at the end."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from unittest import mock

from rpc_proxy import RpcProxy

from ledger import rehearsal as rehearsals
from ledger.books.posting import Chain
from ledger.chain.local.anvil import AnvilProcess
from ledger.chain.local.anvil_state import STATE_FILE
from ledger.chain.local.demo_time import DemoTime
from ledger.chain.node.connection import Connection, connect
from ledger.chain.sending.signer import KeySigner, open_keystore, read_password
from ledger.db import epochs, journal, outbox
from ledger.db.outbox_entry import OutboxEntry
from ledger.demo.worked_example import WorkedExample
from ledger.model.epoch import EpochState
from ledger.model.errors import EnvironmentFailure, TransactionFailedError
from ledger.model.units import EpochNumber, Timestamp, to_hex
from ledger.rehearsal import Rehearsal
from ledger.settings import Settings
from ledger.steps.claim import claim_of
from ledger.steps.drive import state_of, step
from ledger.steps.ledger import Ledger
from ledger.steps.reconciling.reconcile import reconcile
from ledger.steps.transactions.publisher import send_planned
from ledger.steps.transactions.sending import follow_sent, send_once
from ledger.steps.transitions.follow import follow
from ledger.steps.transitions.transition import Done, Moved, Waiting
from ledger.tree.canonical import parse_canonical
from ledger.workspace import Workspace

K: Final = 4
"""The finality depth."""
EPOCH: Final = EpochNumber(0)
CLAIMANTS: Final = 3
CALL_SECONDS: Final = 1.0
"""How long these ledgers wait for an answer: their node is on this machine."""
_LOOKS_AT_MOST: Final = 400
_PLACES: Final = frozenset({"at", "block", "blockHash", "transaction"})
"""What a reorganisation changes in an entry: where on chain something happened, nothing of what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """All that must not depend on what went wrong on the way."""

    header: str
    claim_root: str
    seal_chain: tuple[bytes, ...]
    """The canonical bytes of every entry of the seal chain."""
    chain_log: tuple[str, ...]
    """The entries that stand, without the places on chain they name, sorted: claims are independent."""
    files: dict[str, str]
    """SHA-256 of every artefact and every piece of evidence."""
    balances: tuple[int, ...]
    claimed: tuple[int, ...]
    sent: tuple[tuple[str, str], ...]
    """Every effect the publisher and the operators intended, and its state."""
    events: dict[str, int]
    """How many events of each kind the canonical chain has."""
    nonces: tuple[int, ...]
    """How many transactions every account has sent that counted."""


@dataclass(slots=True, kw_only=True)
class Stage:
    """A ledger, its chain, and the proxies between them."""

    workspace: Workspace
    network: WorkedExample
    node: AnvilProcess
    proxies: list[RpcProxy]
    direct: Connection
    """Past every proxy: what the test itself asks and does."""
    ledger: Ledger
    met: list[str] = field(default_factory=list)
    """The codes of the errors that were met and waited out, in order."""

    @property
    def proxy(self) -> RpcProxy:
        """The only one, or the first."""
        return self.proxies[0]

    @property
    def time(self) -> DemoTime:
        """The chain's time, to be moved."""
        return DemoTime(self.direct)

    @property
    def publisher(self) -> KeySigner:
        """Opened from its keystore, as the ledger does."""
        return self.signer("publisher")

    def signer(self, name: str) -> KeySigner:
        """An account of the workspace's keys folder."""
        keys = self.workspace.root / "keys"
        return open_keystore(keys / f"{name}.json", read_password(keys / "password"))

    def state(self) -> EpochState:
        """The epoch's state."""
        return state_of(self.ledger, EPOCH)

    def entry(self, what: str) -> OutboxEntry:
        """The outbox entry of `propose` or `activate`."""
        with self.ledger.database.reading() as session:
            return outbox.entry(session, f"epoch/{EPOCH}/{what}/1")

    def settle(self, until: EpochState = EpochState.FINAL, *, between: Callable[[], None] = lambda: None) -> None:
        """Step until the epoch is in that state; what may pass is waited out, a block at a time.

        `between` is called before each step. Stops at HALTED too: whoever expects FINAL compares the state.
        """
        for _ in range(_LOOKS_AT_MOST):
            between()
            try:
                result = step(self.ledger, EPOCH)
            except (EnvironmentFailure, TransactionFailedError) as error:
                self.met.append(error.code)
                self.time.mine()
                continue
            match result:
                case Done():
                    return
                case Moved(state=state) if state in {until, EpochState.HALTED}:
                    return
                case Waiting(state=EpochState.HALTED):
                    return
                case Waiting(until=int(at)) if at > self.direct.head().timestamp:
                    self.time.jump_to(Timestamp(at))
                case Waiting():
                    self.time.mine()
        raise AssertionError(f"no {until} after {_LOOKS_AT_MOST} looks; met {sorted(set(self.met))}")

    def harass(
        self, kind: str, *methods: str, times: int = 3, spared: int = 2, rounds: int = 40, **options: Any
    ) -> None:
        """Let calls of these methods meet the fault again and again: so many hit, so many spared, in turn."""
        for proxy in self.proxies[:1]:
            for _ in range(rounds):
                proxy.misbehave(kind, *methods, times=times, skip=spared, **options)

    @property
    def hits(self) -> int:
        """How often a fault of the first proxy's script was met."""
        return sum(fault["met"] for fault in self.proxy.script())

    def patiently(self, act: Callable[[], Any]) -> Any:
        """Repeat until it works, a block between."""
        for _ in range(_LOOKS_AT_MOST):
            try:
                return act()
            except (EnvironmentFailure, TransactionFailedError) as error:
                self.met.append(error.code)
                self.time.mine()
        raise AssertionError(f"never; met {sorted(set(self.met))}")

    def claim(self, rank: int) -> None:
        """An operator claims all it can, by its keystore; twice is harmless."""
        signer = self.signer(f"operator-{rank}")

        def claimed() -> None:
            quote = claim_of(self.ledger, signer.address).quote
            if quote.is_settled:
                follow_sent(self.ledger, signer)
            else:
                send_once(self.ledger, signer, quote.call, "claim")

        self.patiently(claimed)

    def play(self) -> Outcome:
        """From here to the end without any fault of its own."""
        self.settle()
        for rank in range(CLAIMANTS):
            self.claim(rank)
        return self.finish()

    def finish(self) -> Outcome:
        """Let everything become final, prove the invariants, and tell what is left."""
        self.time.mine(K + 1)
        self.patiently(lambda: follow(self.ledger))
        self.patiently(lambda: send_planned(self.ledger))
        for rank in range(CLAIMANTS):
            signer = self.signer(f"operator-{rank}")
            self.patiently(lambda signer=signer: self._settled(signer))
        with self.ledger.database.reading() as session:
            journal.verify_journal(session)
        found = self.patiently(lambda: reconcile(self.ledger))
        assert found.differing == (), found.differing
        return self._outcome()

    def stop_patiently(self) -> None:
        """Every proxy behaves again."""
        for proxy in self.proxies:
            proxy.behave()

    def close(self) -> None:
        """End what was started."""
        self.ledger.close()
        for proxy in self.proxies:
            proxy.__exit__(None, None, None)
        self.node.stop()

    def _settled(self, signer: KeySigner) -> None:
        """See its transactions become final; one that a reorganisation took away goes out again."""
        from ledger.chain.sending.outbox import pump

        settlement = self.ledger.settlement()
        pump(self.ledger.database, settlement.connection, signer, self.ledger.clock, settlement.finality)

    def _outcome(self) -> Outcome:
        deployment, head = self.ledger.settlement().deployment, self.direct.head()
        contract, token = deployment.rewards_ledger(self.direct), deployment.token(self.direct)
        operators = [signer.address for signer in self.network.operators]
        holders = [*operators, deployment.treasury, deployment.reserve, deployment.addresses["CarbonVault"]]
        senders = [self.publisher.address, *operators]
        with self.ledger.database.reading() as session:
            entries = list(journal.entries(session))
            sent = [(each.key.split("/0x")[0], each.state.value)
                    for each in outbox.entries(session, self.direct.chain_id)]  # fmt: skip
        return Outcome(
            header=to_hex(contract.last_header_hash(head.hash)),
            claim_root=to_hex(contract.claim_root(head.hash)),
            seal_chain=tuple(bytes(each.canonical) for each in entries if each.chain is Chain.SEAL),
            chain_log=_standing_log(entries),
            files=_files(self.workspace.root),
            balances=tuple(token.balance_wei(account, head.hash) for account in holders),
            claimed=tuple(contract.claimed_wei(account, head.hash) for account in operators),
            sent=tuple(sorted(sent)),
            events=self.events(),
            nonces=tuple(self.direct.nonce(account) for account in senders),
        )

    def events(self) -> dict[str, int]:
        """Events of our contracts on the canonical chain, by name, as the chain itself tells them."""
        from ledger.chain.contracts.logs import decode_events, fetch_logs

        deployment = self.ledger.settlement().deployment
        counted: dict[str, int] = {}
        for log in fetch_logs(self.direct, list(deployment.followed.contracts), 0, self.direct.head().number):
            interface = deployment.followed.contracts[log.address]
            event = interface.event(log.topics, log.data)
            if event is not None:
                counted[event.name] = counted.get(event.name, 0) + 1
        assert decode_events is not None
        return dict(sorted(counted.items()))


def attested_template(root: Path) -> Path:
    """Make the workspace: deployed with depth K, registered, attested; its chain is stopped, its state is kept."""
    with mock.patch.object(rehearsals, "FINALITY_DEPTH", K):
        played = Rehearsal.create(root, WorkedExample())
        ledger = played.deploy(lambda _: None)
    played.register(ledger)
    played.attest(ledger, EPOCH)
    chain = ledger.settlement().connection
    for rank in range(CLAIMANTS):
        account = KeySigner(played.network.operator_key(rank)).address
        chain.rpc("anvil_setBalance", to_hex(account), hex(10**20))
    DemoTime(chain).mine()
    ledger.close()
    played.stop()
    return root


def open_stage(
    root: Path,
    *,
    endpoints: int = 1,
    database_url: str = "",
    before_cut_off: bool = False,
    settings: dict[str, Any] | None = None,
) -> Stage:
    """A ledger on the copied workspace: so many endpoints, each behind a proxy of its own, to one Anvil of its own.

    `before_cut_off`: evidence may still arrive; otherwise the epoch can be frozen at once.
    """
    node = AnvilProcess.start(root / "chain" / STATE_FILE)
    direct = connect(node.rpc_url)
    time = DemoTime(direct)
    if not before_cut_off:
        time.jump_to(Timestamp(WorkedExample().calendar.cut_off(EPOCH) + 1))
    proxies = [RpcProxy(node.rpc_url).__enter__() for _ in range(endpoints)]
    chosen = Settings(
        **{
            "rpc_url": ",".join(proxy.url for proxy in proxies),
            "database_url": database_url,
            "clock": "chain",
            "publisher_keystore": "keys/publisher.json",
            "publisher_password_file": "keys/password",
        }
        | (settings or {})
    )
    workspace = Workspace(root=root, settings=chosen)
    with _impatient():
        ledger = workspace.open()
        ledger.settlement()
    return Stage(workspace=workspace, network=WorkedExample(), node=node, proxies=proxies, direct=direct, ledger=ledger)


@contextmanager
def _impatient() -> Iterator[None]:
    """Connections made meanwhile wait for a second, not for half a minute."""
    from ledger.chain.node import connection as module

    with mock.patch.object(module, "connect", lambda url, **known: connect(url, timeout_seconds=CALL_SECONDS, **known)):
        yield


def _standing_log(entries: Sequence[Any]) -> tuple[str, ...]:
    """The chain log's entries that stand: one that was taken back, and the taking back, are as if they had not been."""
    log = [each for each in entries if each.chain is Chain.LOG]
    back = {each.key.removeprefix("reversal/") for each in log if each.key.startswith("reversal/")}
    standing = [each for each in log if each.key not in back and each.key.removeprefix("reversal/") not in back]
    return tuple(sorted(_placeless(each.canonical) for each in standing))


def _placeless(canonical: bytes) -> str:
    entry = parse_canonical(canonical)
    key = str(entry.get("key", "")).split("/0x")[0].split("/again/")[0]
    kept = {"key": key} | {name: entry.get(name) for name in ("kind", "body", "transfers")}
    return json.dumps(_without_places(kept), sort_keys=True)


def _without_places(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_places(each) for name, each in value.items() if name not in _PLACES}
    return [_without_places(each) for each in value] if isinstance(value, list | tuple) else value


def _files(root: Path) -> dict[str, str]:
    return {
        str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest()
        for folder in ("evidence", "artefacts")
        for file in sorted((root / folder).rglob("*"))
        if file.is_file() and not file.name.startswith(".")
    }


def transitions(stage: Stage) -> list[str]:
    """The states the epoch went through, in order."""
    with stage.ledger.database.reading() as session:
        return [event.state.value for event in epochs.events(session, EPOCH)]
