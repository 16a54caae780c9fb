"""What the chain says of the ledger's epochs: header hashes it emitted and holds, and what governance decided."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ledger.audit.bundle.content import SETTLEMENT_EVENTS, LedgerIdentity, Settled, SettledAt
from ledger.audit.comparison import Difference, shown, shown_row
from ledger.audit.report import Check
from ledger.chain.contracts.artefacts import REWARDS_LEDGER, interface
from ledger.chain.contracts.logs import FoundLog, fetch_logs
from ledger.chain.deploying.deployment import Deployment
from ledger.chain.following.governed import ScheduledPolicy, policies, verifier_roles
from ledger.chain.node.connection import Block, Connection
from ledger.evidence.judging.frozen import FrozenEvidence
from ledger.evidence.judging.roles import RoleBook
from ledger.model.errors import LedgerError, NotFoundError
from ledger.model.units import ZERO_HASH, EpochNumber, Hash32
from ledger.steps.auditing.node import require_reached, require_same_header
from ledger.tree.commitments import policy_hash

_TERMS = {
    "genesis": "GENESIS",
    "epoch_length": "EPOCH_LENGTH",
    "window": "WINDOW",
    "treasury": "TREASURY",
    "reserve": "RESERVE",
}
"""Fields of a deployment, and what the contract calls them."""
_EVENTS = ("EpochProposed", "EpochActivated", "EpochRevoked", "RootSuperseded")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainWitness:
    """The chain's word, read at one block from contracts that have the code they were deployed with."""

    connection: Connection
    deployment: Deployment
    block: int
    headers: Mapping[EpochNumber, Hash32]
    """The hash each epoch was activated with, or is proposed with while it waits."""
    corrections: Mapping[EpochNumber, tuple[Hash32, ...]]
    """The correction headers by which each epoch's root was superseded, in order."""
    last_emitted: Hash32
    """Of the last activation or correction; zero before the first."""
    last_held: Hash32
    """What the contract holds as the last header's hash."""
    terms: Mapping[str, object]
    """Calendar, window, treasury and reserve as the contract holds them."""
    emitted: Mapping[tuple[str, Hash32], FoundLog] = field(default_factory=dict)
    """The last event of each name for each header hash."""

    def general(self) -> Iterator[Check]:
        """What is asked of the chain once, whatever epochs are looked at."""
        yield self.agreed()
        yield self.held()

    def require_believable(self, known_block: int, why: str) -> None:
        """Raise ChainBehindError, LogsHiddenError: what such a node says proves nothing against anybody."""
        require_reached(self.block, known_block, why)
        require_same_header(self.last_emitted, self.last_held, self.block)

    def agreed(self) -> Check:
        """Whether the deployment document says of the contract what the contract says of itself."""
        stated = {name: getattr(self.deployment, name) for name in self.terms}
        wrong = next((name for name, value in self.terms.items() if stated[name] != value), None)
        if wrong is None:
            return Check(name="chain.terms", rule="E5.6", difference=None)
        return _same("chain.terms", "E5.6", f"deployment · {wrong}", self.terms[wrong], stated[wrong])

    def held(self) -> Check:
        """Whether the contract holds what it emitted: a node that leaves out logs is seen."""
        where = f"lastHeaderHash at block {self.block}"
        return _same("chain.last-header", "E5.6", where, self.last_emitted, self.last_held)

    def reaches(self, last: EpochNumber) -> Check:
        """Whether the books reach as far as the chain: a truncated journal or a restored backup does not."""
        newest = max(self.headers, default=last)
        where = f"last epoch with a header at block {self.block}"
        difference = Difference(where=where, expected=shown(newest), found=f"the books end at epoch {last}")
        return Check(name="chain.reach", rule="E6.3", difference=difference if newest > last else None)

    def checks(self, frozen: FrozenEvidence, *, is_final: bool) -> Iterator[Check]:
        """Whether the epoch was computed with the roles block, roles and policy the chain has for it."""
        epoch = frozen.epoch
        try:
            block, roles, policy = self._decided(frozen)
        except LedgerError as error:
            found = Difference(where=f"chain · epoch {epoch}", expected="roles block and policy", found=error.what)
            yield Check(name="chain.roles-block", rule="R1.3", difference=found)
            return
        yield _same("chain.roles-block", "R1.3", "roles block", block.hash, frozen.roles_block_hash)
        yield _same("chain.roles", "R1.2", "verifier roles as the chain has them", True, roles == frozen.roles)
        yield _same("chain.policy", "R1.3", "policy", policy.policy_hash, policy_hash(frozen.policy))
        if is_final and epoch not in self.headers:
            missing = Difference(where=f"header of epoch {epoch} on chain", expected="an activation", found="absent")
            yield Check(name="header.on-chain", rule="E5.6", difference=missing)

    def settlement(self, header: Hash32, told: Settled) -> Check:
        """Whether the transactions a bundle names are those that proposed and activated its header."""
        for name, event in SETTLEMENT_EVENTS.items():
            log, at = self.emitted.get((event, header)), told.get(name)
            if at is None:
                continue  # not final when the bundle was written; `header.on-chain` says whether there is a header
            found = None if log is None else self._place(log)
            if found != at:
                wanted = f"no {event} with this header" if found is None else shown_row(found)
                difference = Difference(where=f"settlement · {name}", expected=wanted, found=shown_row(at))
                return Check(name="chain.settlement", rule="E5.6", difference=difference)
        return Check(name="chain.settlement", rule="E5.6", difference=None)

    def _place(self, log: FoundLog) -> SettledAt:
        return SettledAt(
            block=log.block_number,
            block_hash=log.block_hash,
            block_time=self.connection.block(log.block_hash).timestamp,
            transaction=log.tx_hash,
            log=log.log_index,
        )

    def _decided(self, frozen: FrozenEvidence) -> tuple[Block, RoleBook, ScheduledPolicy]:
        block = self.connection.last_block_before(frozen.calendar.start(frozen.epoch))
        if block is None:
            raise NotFoundError(f"the chain has no block before epoch {frozen.epoch}")
        roles = verifier_roles(self.connection, self.deployment, block)
        return block, roles, policies(self.connection, self.deployment, block).policy_for_epoch(frozen.epoch)


def chain_witness(connection: Connection, deployment: Deployment) -> ChainWitness:
    """Ask the chain. Raises the chain's own errors, also when its contracts are not those of the deployment."""
    head = connection.head()
    deployment.check(connection, head.hash)
    contract, abi = deployment.rewards_ledger(connection), interface(REWARDS_LEDGER)
    topics = [abi.events[name] for name in _EVENTS]
    headers: dict[EpochNumber, Hash32] = {}
    emitted: dict[tuple[str, Hash32], FoundLog] = {}
    corrections: dict[EpochNumber, tuple[Hash32, ...]] = {}
    last = ZERO_HASH
    for log in fetch_logs(connection, [contract.address], deployment.first_block, head.number, topics):
        event = abi.event(log.topics, log.data)
        if event is None:
            continue
        epoch, header = EpochNumber(event.arguments["epoch"]), Hash32(event.arguments["header_hash"])
        emitted[event.name, header] = log
        match event.name:
            case "EpochRevoked":
                headers.pop(epoch, None)
            case "EpochProposed":
                headers[epoch] = header
            case "EpochActivated":
                headers[epoch] = last = header
            case _:
                corrections[epoch] = (*corrections.get(epoch, ()), header)
                last = header
    return ChainWitness(
        connection=connection,
        deployment=deployment,
        block=head.number,
        headers=headers,
        corrections=corrections,
        last_emitted=last,
        last_held=contract.last_header_hash(head.hash),
        emitted=emitted,
        terms={name: contract.read(getter, at=head.hash) for name, getter in _TERMS.items()},
    )


def deployment_of(identity: LedgerIdentity) -> Deployment:
    """The deployment a bundle says it belongs to."""
    return Deployment(
        chain_id=identity.chain_id,
        genesis_hash=identity.genesis_hash,
        first_block=identity.first_block,
        addresses={name: contract.address for name, contract in identity.contracts.items()},
        code_hashes={name: contract.code_hash for name, contract in identity.contracts.items()},
        genesis=identity.calendar.genesis,
        epoch_length=identity.calendar.length,
        window=identity.window,
        finality_depth=identity.finality_depth,
        treasury=identity.treasury,
        reserve=identity.reserve,
        deployer=identity.deployer,
    )


def _same(name: str, rule: str, where: str, expected: object, found: object) -> Check:
    if expected == found:
        return Check(name=name, rule=rule, difference=None)
    return Check(name=name, rule=rule, difference=Difference(where=where, expected=shown(expected), found=shown(found)))
