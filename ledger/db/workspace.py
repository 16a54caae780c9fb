"""Which network this database belongs to: bound once, checked ever after."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from ledger.db.tables.workspace import WorkspaceRow
from ledger.model.errors import EnvironmentFailure
from ledger.model.units import Address, Hash32, Timestamp, from_hex, to_hex
from ledger.tree.canonical import canonical_json

_THE_ROW = 1


class OtherNetworkError(EnvironmentFailure):
    """The database holds another network's books."""

    code = "workspace.other-network"
    retryable = False
    default_hint = "use the workspace of this network, or make a new one: ath-ledger init"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkIdentity:
    """One chain, one set of contracts, one calendar."""

    chain_id: int
    genesis_block_hash: Hash32
    contracts: Mapping[str, Address]
    ledger_genesis: Timestamp
    epoch_length: int


def bind(
    session: Session,
    *,
    chain_id: int,
    genesis_block_hash: Hash32,
    contracts: Mapping[str, Address],
    ledger_genesis: Timestamp,
    epoch_length: int,
    recorded_at: Timestamp,
) -> None:
    """Bind the database to its network; the same network again changes nothing. Raises OtherNetworkError."""
    identity = NetworkIdentity(
        chain_id=chain_id,
        genesis_block_hash=genesis_block_hash,
        contracts=dict(contracts),
        ledger_genesis=ledger_genesis,
        epoch_length=epoch_length,
    )
    found = bound_network(session)
    if found is not None:
        require_network(session, identity)
        return
    addresses = {name: to_hex(address) for name, address in identity.contracts.items()}
    session.add(
        WorkspaceRow(
            id=_THE_ROW,
            chain_id=identity.chain_id,
            genesis_block_hash=identity.genesis_block_hash,
            contracts=canonical_json(addresses).decode(),
            ledger_genesis=identity.ledger_genesis,
            epoch_length=identity.epoch_length,
            recorded_at=recorded_at,
        )
    )
    session.flush()


def bound_network(session: Session) -> NetworkIdentity | None:
    """The network the database is bound to, or None."""
    row = session.get(WorkspaceRow, _THE_ROW)
    if row is None:
        return None
    try:
        contracts = {name: Address(from_hex(value, 20)) for name, value in json.loads(row.contracts).items()}
    except (ValueError, AttributeError) as error:
        raise OtherNetworkError(f"the contracts the database is bound to cannot be read: {error}") from error
    return NetworkIdentity(
        chain_id=row.chain_id,
        genesis_block_hash=Hash32(row.genesis_block_hash),
        contracts=contracts,
        ledger_genesis=Timestamp(row.ledger_genesis),
        epoch_length=row.epoch_length,
    )


def require_network(session: Session, identity: NetworkIdentity) -> None:
    """Raise OtherNetworkError unless the database is bound to exactly this network."""
    found = bound_network(session)
    if found is None:
        raise OtherNetworkError("the database is bound to no network yet", hint="ath-ledger chain deploy")
    for name in NetworkIdentity.__dataclass_fields__:
        ours, theirs = getattr(found, name), getattr(identity, name)
        if ours != theirs:
            raise OtherNetworkError(f"{name} of the database is {_shown(ours)}, of the deployment {_shown(theirs)}")


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return to_hex(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_shown(item)}" for name, item in sorted(value.items()))
    return str(value)
