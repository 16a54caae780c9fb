"""What the chain's tests stand on: one Anvil per module, a fresh SQLite ledger and a fresh account per test."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from ledger.chain.deploying.bootstrap import deploy
from ledger.chain.deploying.configuration import DeploymentConfig
from ledger.chain.deploying.deployment import Deployment
from ledger.chain.local.anvil import AnvilProcess
from ledger.chain.local.demo_time import DemoTime
from ledger.chain.node.connection import Connection, Finality, connect
from ledger.chain.sending.fees import FeePolicy
from ledger.chain.sending.outbox import PumpReport, open_outbox, pump
from ledger.chain.sending.signer import KeySigner
from ledger.db import tables  # noqa: F401 - fills the metadata
from ledger.db.engine import Database, open_database
from ledger.db.guards import install_guards
from ledger.db.outbox import enqueue, entry
from ledger.db.outbox_entry import OutboxEntry
from ledger.db.schema import Base
from ledger.model.clock import FixedClock
from ledger.model.units import Address, Timestamp, to_hex

START = Timestamp(1_686_787_200)
_KEYS = count(1)


@pytest.fixture(scope="module")
def node() -> Iterator[AnvilProcess]:
    with AnvilProcess.start(timestamp=START) as running:
        yield running


@pytest.fixture(scope="module")
def connection(node: AnvilProcess) -> Connection:
    return connect(node.rpc_url)


def make_database(path: Path) -> Database:
    database = open_database(f"sqlite:///{path}", create=True)
    with database.engine.begin() as bare:
        Base.metadata.create_all(bare)
        install_guards(bare)
    return database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = make_database(tmp_path / "ledger.db")
    yield made
    made.close()


def fresh_signer(connection: Connection) -> KeySigner:
    """A funded account nobody has used yet."""
    signer = KeySigner((0xA11CE * 2**64 + next(_KEYS)).to_bytes(32, "big"))
    connection.rpc("anvil_setBalance", to_hex(signer.address), hex(10**20))
    return signer


@dataclass(slots=True, kw_only=True)
class Desk:
    """One sender's outbox, ready to use."""

    database: Database
    connection: Connection
    signer: KeySigner
    clock: FixedClock
    finality: Finality
    fees: FeePolicy

    def plan(self, key: str, to: bytes = b"\xbb" * 20, calldata: bytes = b"", value_wei: int = 7) -> OutboxEntry:
        with self.database.transaction() as session:
            return enqueue(
                session,
                key=key,
                chain_id=self.connection.chain_id,
                sender=self.signer.address,
                to=Address(to),
                calldata=calldata,
                value_wei=value_wei,
                at=self.clock.now(),
            )

    def pump(self, **options: object) -> PumpReport:
        settings = {"fees": self.fees, "patience_seconds": 1} | options
        return pump(self.database, self.connection, self.signer, self.clock, self.finality, **settings)  # type: ignore[arg-type]

    def state(self, key: str) -> str:
        return self.entry(key).state.value

    def entry(self, key: str) -> OutboxEntry:
        with self.database.reading() as session:
            return entry(session, key)

    def mine(self, blocks: int = 1) -> None:
        for _ in range(blocks):
            self.connection.rpc("evm_mine")

    def received(self, account: bytes) -> int:
        return self.connection.balance_wei(Address(account))


@pytest.fixture
def desk(database: Database, connection: Connection) -> Iterator[Desk]:
    connection.rpc("evm_setAutomine", True)
    signer = fresh_signer(connection)
    open_outbox(database, connection, signer.address)
    yield Desk(
        database=database,
        connection=connection,
        signer=signer,
        clock=FixedClock(START),
        finality=Finality(depth=2),
        fees=FeePolicy(),
    )
    connection.rpc("evm_setAutomine", True)


@pytest.fixture(scope="session")
def make_ledger() -> Callable[[Path], Database]:
    """Makes further ledgers: a newcomer to compare with, a second machine."""
    return make_database


DEPLOYER = KeySigner((0xDE9107E2).to_bytes(32, "big"))
PUBLISHER = KeySigner((0x9B715).to_bytes(32, "big"))
GUARDIAN = KeySigner((0x60A2D).to_bytes(32, "big"))
GOVERNOR = KeySigner((0x604E2).to_bytes(32, "big"))
RESERVE = Address(b"\x5e" * 20)
CHECKER = Address(b"\xc4" * 20)
GOVERNANCE_DELAY = 7200


def policy_document_of(**changes: object) -> dict[str, object]:
    """A policy within all bounds under the spec's names; figures are made up for tests."""
    return {
        "epochBudgetWei": str(1000 * 10**18),
        "reserveBps": 1000,
        "carbonCapBps": 500,
        "carbonPriceWeiPerTonne": str(800 * 10**18),
        "uMinPpm": 900_000,
        "uFullPpm": 990_000,
        "kEffBps": 5000,
        "sClampPpm": 400_000,
        "pueRefE4": 15_400,
        "gMatchBps": 2000,
        "t2QualityBps": 2500,
        "gGridBps": 500,
        "refEfMgPerKwh": 475_000,
        "maxMultPpm": 1_500_000,
        "quorumQ": 3,
        "quorumK": 5,
        "countNuclear": False,
        "tablesHash": "0x" + "7a" * 32,
    } | changes


def deployment_config(genesis: int, **changes: object) -> DeploymentConfig:
    """Four-hour epochs with a one-hour window; the deployer is the treasury."""
    text = {name: to_hex(value.address) for name, value in (("deployer", DEPLOYER), ("publisher", PUBLISHER))}
    return DeploymentConfig.model_validate(
        {
            "genesis": genesis,
            "epoch_length": 4 * 3600,
            "window": 3600,
            "finality_depth": 2,
            "governance_delay": GOVERNANCE_DELAY,
            "policy": policy_document_of(),
            "verifiers": [
                {"schema": "uptime", "verifier": to_hex(CHECKER)},
                {"schema": "renewable", "verifier": to_hex(CHECKER), "registry_ids": ["0x" + "01" * 32]},
            ],
            "treasury": text["deployer"],
            "reserve": to_hex(RESERVE),
            "roles": {
                "publisher": [text["publisher"]],
                "guardian": [to_hex(GUARDIAN.address)],
                "governor": [to_hex(GOVERNOR.address)],
                "retirer": [to_hex(GOVERNOR.address)],
                "admin": [to_hex(GOVERNOR.address)],
            },
        }
        | changes
    )


def fund(connection: Connection, *signers: KeySigner) -> None:
    for signer in signers:
        connection.rpc("anvil_setBalance", to_hex(signer.address), hex(10**20))


@dataclass(slots=True, kw_only=True)
class Network:
    """A deployed network on a chain of its own."""

    connection: Connection
    deployment: Deployment
    config: DeploymentConfig
    time: DemoTime
    deployer: KeySigner = DEPLOYER
    publisher: KeySigner = PUBLISHER
    guardian: KeySigner = GUARDIAN
    governor: KeySigner = GOVERNOR


@pytest.fixture(scope="module")
def network(connection: Connection) -> Network:
    time = DemoTime(connection)
    fund(connection, DEPLOYER, PUBLISHER, GUARDIAN, GOVERNOR)
    config = deployment_config(START + 24 * 3600)
    return Network(connection=connection, deployment=deploy(connection, DEPLOYER, config), config=config, time=time)


@pytest.fixture(scope="session")
def make_config() -> Callable[..., DeploymentConfig]:
    return deployment_config


@pytest.fixture(scope="session")
def make_funded() -> Callable[..., None]:
    return fund
