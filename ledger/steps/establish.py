"""Once the contracts are there: the database is bound to that chain and these contracts, for ever."""

from ledger.chain.deploying.deployment import Deployment
from ledger.db import workspace as workspace_row
from ledger.db.engine import Database
from ledger.model.units import Timestamp


def bind_database(database: Database, deployment: Deployment, at: Timestamp) -> None:
    """Write down which chain and contracts the books belong to; another deployment is refused ever after."""
    with database.transaction() as session:
        workspace_row.bind(
            session,
            chain_id=deployment.chain_id,
            genesis_block_hash=deployment.genesis_hash,
            contracts=deployment.addresses,
            ledger_genesis=deployment.genesis,
            epoch_length=deployment.epoch_length,
            recorded_at=at,
        )


def require_bound(database: Database, deployment: Deployment) -> None:
    """Refuse books that belong to another chain or other contracts: OtherNetworkError. Unbound books pass."""
    with database.reading() as session:
        if workspace_row.bound_network(session) is None:
            return
        workspace_row.require_network(
            session,
            workspace_row.NetworkIdentity(
                chain_id=deployment.chain_id,
                genesis_block_hash=deployment.genesis_hash,
                contracts=dict(deployment.addresses),
                ledger_genesis=deployment.genesis,
                epoch_length=deployment.epoch_length,
            ),
        )
