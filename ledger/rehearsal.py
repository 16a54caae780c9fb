"""A rehearsal: a ledger on its own chain whose whole network, operators and verifiers, is played by the program.

The demo runs one over three past days. Time is the chain's: it is moved forward to fixed seconds, and only when
everything that belongs before has been done, so a rehearsal that is killed anywhere continues to the same blocks.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from ledger.chain.claims import ClaimQuote, quote_claim
from ledger.chain.deploying.bootstrap import deploy
from ledger.chain.deploying.configuration import DeploymentConfig
from ledger.chain.following.follower import recent_events
from ledger.chain.following.governed import policies
from ledger.chain.local.anvil import start_detached, stop_detached
from ledger.chain.local.demo_time import DemoTime
from ledger.chain.node.connection import Connection, connect
from ledger.chain.sending.fees import FeePolicy
from ledger.chain.sending.signer import KeySigner, write_keystore
from ledger.db import policies as policy_rows
from ledger.db.epochs import last_final
from ledger.db.faultpoint import faultpoint
from ledger.demo.verifier import DemoVerifier
from ledger.evidence.items.batch import SignedBatch
from ledger.evidence.items.registration import SignedRegistration
from ledger.evidence.items.revocation import SignedRevocation
from ledger.evidence.items.signing import KeySigner as EvidenceSigner
from ledger.evidence.items.typed_data import Domain
from ledger.model.epoch import EpochCalendar, EpochState
from ledger.model.errors import UsageError
from ledger.model.policy import Policy, Tables
from ledger.model.units import Bps, EpochNumber, Hash32, NodeId, Timestamp, to_hex
from ledger.steps.drive import state_of, step
from ledger.steps.establish import bind_database
from ledger.steps.governing.enact import Enactment, Stage, enact
from ledger.steps.intake.collect import Receipt, submit_item
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.sealed import tree_of
from ledger.steps.transactions.publisher import send_planned
from ledger.steps.transactions.sending import follow_sent, send_once
from ledger.steps.transitions.follow import follow
from ledger.steps.transitions.transition import Done, Moved, StepResult, Waiting
from ledger.tree.keccak import checksum_address, keccak256
from ledger.tree.parameters import policy_document
from ledger.tree.payout import payout_proof
from ledger.workspace import Workspace

SETTLING_SECONDS = 3600
"""The demo's challenge window: short, so that three days settle in seconds. A real network has six hours."""
GOVERNANCE_DELAY_SECONDS = 6 * 3600
GOVERNED_EPOCH = EpochNumber(2)
"""The first epoch of the policy that is announced on day 0: two epochs of notice are the least there can be."""
GOVERNED_STEP_BPS = Bps(250)
"""By how much it raises the bonus for matched energy: the most one change may."""
DELIVERY_SECONDS = 1200
"""How long after an epoch's end its evidence is delivered."""
CHAIN_BEGINS_BEFORE = 2 * 86_400
FINALITY_DEPTH = 1
DEMO_PASSWORD = "demo"  # noqa: S105 - the keys it guards can be derived by anybody
OPERATOR_KEYSTORES = 4
"""Of so many operators the workspace has the keys, to claim with by hand."""
_GAS_MONEY_WEI = 10**20


class Node(Protocol):
    """One of the network's nodes."""

    @property
    def node_id(self) -> NodeId: ...


class Network(Protocol):
    """Who attests and what, for every epoch: the demo's fleet, or the specification's worked example."""

    calendar: EpochCalendar
    policy: Policy
    tables: Tables
    operators: tuple[EvidenceSigner, ...]

    @property
    def nodes(self) -> Sequence[Node]: ...

    @property
    def verifiers(self) -> tuple[DemoVerifier, ...]: ...

    def operator_key(self, rank: int) -> bytes: ...

    def registrations(self, domain: Domain) -> Iterator[SignedRegistration]: ...

    def batches(
        self, epoch: EpochNumber, domain: Domain, roles_block_hash: Hash32 | None = None
    ) -> Iterator[SignedBatch]: ...

    def revocations(self, epoch: EpochNumber, domain: Domain) -> Iterator[SignedRevocation]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What became of one epoch's evidence at the door."""

    admitted: int
    refused: Sequence[Receipt]


def governed_policy(policy: Policy) -> Policy:
    """The policy that a rehearsal's governor announces: matched energy pays more."""
    return replace(policy, g_match_bps=Bps(policy.g_match_bps + GOVERNED_STEP_BPS))


def role_key(name: str) -> bytes:
    """The private key of a role holder in a rehearsal. Anybody can derive it: never for real money."""
    return keccak256(b"ath-ledger rehearsal " + name.encode())


class Rehearsal:
    """One workspace with its own chain, and the network that is played on it."""

    def __init__(self, workspace: Workspace, network: Network) -> None:
        self.workspace = workspace
        self.network = network

    @classmethod
    def create(cls, root: Path, network: Network, **chosen: str | int) -> "Rehearsal":
        """Make the workspace, with settings of one's own if need be, or take the one that is there and continue.

        UsageError for a workspace that was not made for a rehearsal: its time would stand still, or nobody publish.
        """
        settings: dict[str, str | int] = {
            "clock": "chain",
            "publisher_keystore": "keys/publisher.json",
            "publisher_password_file": "keys/password",
            **chosen,
        }
        place = Workspace.create(root, settings)
        if place.settings.clock != "chain" or not place.settings.publisher_keystore:
            raise UsageError(
                f"{root} is a workspace of another kind; a demonstration plays in one of its own",
                hint="name a new folder: ath-ledger demo -w DIR (ATH_LEDGER_DATABASE_URL chooses its database)",
            )
        return cls(place, network)

    def deploy(self, told: Callable[[str], None]) -> Ledger:
        """Start the chain, put the contracts on it and open the ledger; continues where a killed run stopped."""
        calendar, root = self.network.calendar, self.workspace.root
        begin = Timestamp(calendar.genesis - CHAIN_BEGINS_BEFORE)
        node = start_detached(self.workspace.chain_folder, timestamp=begin)
        connection = connect(node.rpc_url)
        time = DemoTime(connection, kept_in=self.workspace.chain_folder)
        time.keep()  # a run that was killed may have made a block and not kept it: this one will rely on it
        self._write_keys()
        if not self.workspace.deployment_file.is_file():
            deployer = KeySigner(role_key("deployer"))
            self._fund(connection, [role_key(name) for name in ("deployer", "publisher", "governor", "guardian")])
            deployment = deploy(
                connection,
                deployer,
                self._config(),
                progress_file=root / "chain" / "deployment-progress.json",
                fees=FeePolicy.fixed_fees(),
                told=told,
            )
            time.keep()  # the file must never name contracts that a killed chain has lost
            deployment.write(self.workspace.deployment_file)
            faultpoint("deploy.after_write")
        ledger = self.workspace.open()
        now = ledger.clock.now()
        bind_database(ledger.database, ledger.settlement().deployment, now)
        with ledger.database.transaction() as session:
            policy_rows.record_tables(session, self.network.tables, recorded_at=now)
        return ledger

    def register(self, ledger: Ledger) -> Delivery:
        """Every operator registers its nodes, before genesis."""
        if ledger.clock.now() >= self.network.calendar.genesis:
            return Delivery(admitted=0, refused=())
        return _deliver(submit_item(ledger, item) for item in self.network.registrations(ledger.domain))

    def govern(self, ledger: Ledger) -> Iterator[Enactment]:
        """On day 0 the governor announces a policy for epoch 2 and executes it after the delay; twice is harmless."""
        settlement = ledger.settlement()
        governor = KeySigner(role_key("governor"))
        policy = governed_policy(self.network.policy)
        self._jump(ledger, Timestamp(self.network.calendar.genesis + DELIVERY_SECONDS))
        announced = policies(settlement.connection, settlement.deployment, settlement.connection.head()).announced
        if any(each.policy == policy for each in announced):
            follow_sent(ledger, governor)  # the block is there; its outbox entry may not know it yet
            return
        registry = settlement.deployment.policy_registry(settlement.connection)
        call = registry.schedule(policy, GOVERNED_EPOCH)
        while True:
            enacted = enact(ledger, governor, call, "policy", broadcast=True)
            if enacted.stage is Stage.ANNOUNCED and enacted.tx_hash is not None:
                continue  # ready when its block says, as a run that was killed here will read it
            yield enacted
            if enacted.stage is Stage.DONE:
                return
            self._jump(ledger, enacted.ready_at)

    def attest(self, ledger: Ledger, epoch: EpochNumber) -> Delivery:
        """The epoch passes; every verifier sends what it signed about it, good and bad."""
        self._jump(ledger, Timestamp(ledger.calendar.end(epoch) + DELIVERY_SECONDS))
        if state_of(ledger, epoch) is not EpochState.OPEN or ledger.clock.now() > ledger.calendar.cut_off(epoch):
            return Delivery(admitted=0, refused=())
        start = ledger.calendar.start(epoch)
        # before anything is handed in: a door that loses its chain lets strangers in, and the rows would differ
        ledger.door_roles.learn(epoch, start, ledger.database, ledger.settlement)
        block = ledger.settlement().connection.last_block_before(start)
        drawn_by = None if block is None else block.hash

        def receipts() -> Iterator[Receipt]:
            for batch in self.network.batches(epoch, ledger.domain, drawn_by):
                yield submit_item(ledger, batch)
            for revocation in self.network.revocations(epoch, ledger.domain):
                yield submit_item(ledger, revocation)

        return _deliver(receipts())

    def settle(self, ledger: Ledger, epoch: EpochNumber) -> Iterator[StepResult]:
        """Take the epoch from its cut-off to FINAL, moving time where a step waits for it."""
        self._jump(ledger, Timestamp(ledger.calendar.cut_off(epoch) + DELIVERY_SECONDS))
        while True:
            result = step(ledger, epoch)
            match result:
                case Moved():
                    yield result
                case Done():
                    return
                case Waiting(until=None, why=why) if "final" in why:
                    self._time(ledger).mine()
                case Waiting(until=int(until)):
                    self._jump(ledger, Timestamp(until))
                case _:
                    yield result
                    return

    def claim(self, ledger: Ledger, rank: int) -> ClaimQuote:
        """One operator claims what its last final epoch made claimable, from its own account; twice is harmless."""
        settlement = ledger.settlement()
        signer = KeySigner(self.network.operator_key(rank))
        with ledger.database.reading() as session:
            proof = payout_proof(tree_of(ledger, session, last_final(session)), signer.address)
        quote = quote_claim(settlement.connection, settlement.deployment, proof, settlement.connection.head())
        if quote.is_settled:
            follow_sent(ledger, signer)
        else:
            self._fund(settlement.connection, [self.network.operator_key(rank)])
            send_once(ledger, signer, quote.call, "claim")
        return quote

    def fund_operator(self, ledger: Ledger, rank: int) -> None:
        """Gas money for an operator who may claim by hand."""
        self._fund(ledger.settlement().connection, [self.network.operator_key(rank)])

    def finish(self, ledger: Ledger) -> None:
        """Let everything mined become final, so that the books know it. Twice is harmless: no block without a need."""
        follow(ledger)
        if recent_events(ledger.database, ledger.domain.chain_id, ledger.settlement().deployment.followed):
            self._time(ledger).mine(FINALITY_DEPTH)
            follow(ledger)
        send_planned(ledger)  # a run killed between following and sending has not noted yet what became final

    def stop(self) -> None:
        """Stop the chain; its state is kept, and the next command that needs it starts it again."""
        stop_detached(self.workspace.chain_folder)

    def _jump(self, ledger: Ledger, at: Timestamp) -> None:
        if ledger.clock.now() < at:
            self._time(ledger).jump_to(at)

    def _time(self, ledger: Ledger) -> DemoTime:
        return DemoTime(ledger.settlement().connection, kept_in=self.workspace.chain_folder)

    def _config(self) -> DeploymentConfig:
        address = {
            name: checksum_address(KeySigner(role_key(name)).address)
            for name in ("deployer", "publisher", "guardian", "governor", "retirer", "reserve")
        }
        verifiers: list[dict[str, Any]] = [
            {
                "schema": verifier.schema.title,
                "verifier": checksum_address(verifier.address),
                "affiliation": checksum_address(verifier.affiliation),
                "registry_ids": [to_hex(registry) for registry in verifier.registry_ids],
            }
            for verifier in self.network.verifiers
        ]
        return DeploymentConfig.model_validate(
            {
                "genesis": self.network.calendar.genesis,
                "epoch_length": self.network.calendar.length,
                "window": SETTLING_SECONDS,
                "finality_depth": FINALITY_DEPTH,
                "governance_delay": GOVERNANCE_DELAY_SECONDS,
                "policy": policy_document(self.network.policy),
                "verifiers": verifiers,
                "treasury": address["deployer"],
                "reserve": address["reserve"],
                "roles": {
                    "publisher": [address["publisher"]],
                    "guardian": [address["guardian"]],
                    "governor": [address["governor"]],
                    "retirer": [address["retirer"]],
                    "admin": [address["governor"]],
                },
            }
        )

    def _write_keys(self) -> None:
        """Keystores of the role holders and the operators, all with the password `demo`."""
        folder = self.workspace.root / "keys"
        (folder / "password").write_text(DEMO_PASSWORD + "\n", encoding="utf-8")
        keys = {name: role_key(name) for name in ("publisher", "governor", "guardian", "retirer")}
        count = min(OPERATOR_KEYSTORES, len(self.network.operators))
        keys |= {f"operator-{rank}": self.network.operator_key(rank) for rank in range(count)}
        for name, key in keys.items():
            if not (folder / f"{name}.json").exists():
                write_keystore(folder / f"{name}.json", key, DEMO_PASSWORD, light=True)

    def _fund(self, connection: Connection, keys: Sequence[bytes]) -> None:
        """Gas money: on a local chain balances can be set. Once per account: a second gift, after a kill, would make
        the blocks that follow other ones."""
        for key in keys:
            address = KeySigner(key).address
            if connection.balance_wei(address) == 0:
                connection.rpc("anvil_setBalance", to_hex(address), hex(_GAS_MONEY_WEI))


def _deliver(receipts: Iterator[Receipt]) -> Delivery:
    admitted, refused = 0, []
    for receipt in receipts:
        if receipt.is_admitted:
            admitted += 1
        else:
            refused.append(receipt)
    return Delivery(admitted=admitted, refused=refused)
