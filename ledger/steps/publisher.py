"""Who sends for the ledger, and sending: everything planned goes out through the outbox, one nonce per key."""

from ledger.chain.outbox import PumpReport, open_outbox, pump
from ledger.chain.signer import Signer
from ledger.model.errors import RefusedError
from ledger.steps.ledger import Ledger, Settlement


class NoPublisherError(RefusedError):
    """This ledger has no key that may propose and activate epochs."""

    code = "settle.no-publisher"
    default_hint = "set publisher_keystore and publisher_password_file in settings.toml"


def publisher_of(ledger: Ledger, settlement: Settlement) -> Signer:
    """The publisher's signer, with the outbox opened for its account. NoPublisherError where there is none."""
    if settlement.publisher is None:
        raise NoPublisherError("no publisher key is configured")
    open_outbox(ledger.database, settlement.connection, settlement.publisher.address)
    return settlement.publisher


def send_planned(ledger: Ledger) -> PumpReport | None:
    """Advance every planned transaction as far as it can go now; None where this ledger only follows."""
    settlement = ledger.settlement()
    if settlement.publisher is None:
        return None
    return pump(
        ledger.database,
        settlement.connection,
        publisher_of(ledger, settlement),
        ledger.clock,
        settlement.finality,
        fees=settlement.fees,
        code_hashes=settlement.deployment.callable_code,
    )
