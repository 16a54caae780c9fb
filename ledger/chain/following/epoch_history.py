"""What became of every epoch on chain, from the contract's own logs: headers proposed, activated, revoked, superseded.

The header is emitted whole, so these logs alone are the chain of epochs.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from ledger.chain.contracts.artefacts import REWARDS_LEDGER, interface
from ledger.chain.contracts.interface import Decoded
from ledger.chain.contracts.logs import FoundLog, fetch_logs
from ledger.chain.deploying.deployment import Deployment
from ledger.chain.errors import ChainMovedError
from ledger.chain.node.connection import Block, Connection
from ledger.model.errors import MismatchError
from ledger.model.header import EpochHeader
from ledger.model.units import EpochNumber, Hash32, Timestamp, to_hex
from ledger.tree.commitments import header_hash


class Happening(StrEnum):
    """The contract's events about epochs."""

    PROPOSED = "EpochProposed"
    ACTIVATED = "EpochActivated"
    REVOKED = "EpochRevoked"
    SUPERSEDED = "RootSuperseded"


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochHappening:
    """One event about one epoch."""

    what: Happening
    epoch: EpochNumber
    header_hash: Hash32
    header: EpochHeader | None
    """Whole where the event carries it: a proposal, a correction."""
    activates_at: Timestamp | None
    """Of a proposal: when its window has passed."""
    block: int
    tx_hash: Hash32


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochHistory:
    """All of them up to one block, in the order of the chain."""

    happenings: tuple[EpochHappening, ...]

    @property
    def activated(self) -> Mapping[EpochNumber, EpochHeader]:
        """The header each epoch was activated with."""
        headers = {each.header_hash: each.header for each in self.happenings if each.header is not None}
        return {each.epoch: headers[each.header_hash] for each in self.of(Happening.ACTIVATED)}

    @property
    def in_window(self) -> EpochHappening | None:
        """The proposal that is neither activated nor revoked, or None."""
        last: EpochHappening | None = None
        for each in self.happenings:
            match each.what:
                case Happening.PROPOSED:
                    last = each
                case Happening.ACTIVATED | Happening.REVOKED:
                    last = None
                case Happening.SUPERSEDED:
                    pass  # only possible while nothing is pending
        return last

    def of(self, what: Happening, epoch: EpochNumber | None = None) -> Iterator[EpochHappening]:
        """The events of one kind, of one epoch or of all."""
        return (each for each in self.happenings if each.what is what and epoch in (None, each.epoch))


def epoch_history(connection: Connection, deployment: Deployment, at: Block) -> EpochHistory:
    """Everything up to a block.

    Raises MismatchError when a header does not have the hash it was emitted with, ChainMovedError when the block
    is no longer on the chain.
    """
    abi = interface(REWARDS_LEDGER)
    topics = [abi.events[each.value] for each in Happening]
    logs = fetch_logs(connection, [deployment.addresses[REWARDS_LEDGER]], deployment.first_block, at.number, topics)
    if connection.block(at.number).hash != at.hash:
        raise ChainMovedError(f"block {at.number} left the chain while its epochs were read")
    decoded = ((log, abi.event(log.topics, log.data)) for log in logs)
    return EpochHistory(happenings=tuple(_happening(log, event) for log, event in decoded if event is not None))


def _happening(log: FoundLog, event: Decoded) -> EpochHappening:
    values = event.arguments
    emitted = Hash32(values["header_hash"])
    header = EpochHeader(**values["header"]) if "header" in values else None
    if header is not None and header_hash(header) != emitted:
        raise MismatchError(f"the header in block {log.block_number} does not have its hash {to_hex(emitted)}")
    return EpochHappening(
        what=Happening(event.name),
        epoch=EpochNumber(values["epoch"]),
        header_hash=emitted,
        header=header,
        activates_at=Timestamp(values["activates_at"]) if "activates_at" in values else None,
        block=log.block_number,
        tx_hash=log.tx_hash,
    )
