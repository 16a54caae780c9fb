"""End a verifier's role: from an epoch on nothing it signs counts (rewards spec R1.2).

    python scripts/retire_verifier.py --workspace DIR --schema energy --verifier 0x… --from-epoch 12 \
        --keystore governor.json --password-file password --broadcast

For a governor. What it attested about earlier epochs stays. Give its role back with add_verifier.py.
"""

import argparse
import sys
from collections.abc import Sequence

from governing import Decision, govern, options

from ledger.chain.following.governed import verifier_roles
from ledger.evidence.items.typed_data import schema_id, schema_titled
from ledger.model.errors import NotFoundError, UsageError
from ledger.model.units import to_hex
from ledger.steps.governing.verifier_role import is_set, require_verifier_notice, verifier_call
from ledger.steps.ledger import Ledger
from ledger.tree.keccak import checksum_address, parse_address


def decide(ledger: Ledger, given: argparse.Namespace) -> Decision | None:
    """The role it has, with its last epoch before its first: that is how a role ends."""
    schema = schema_titled(given.schema)
    if schema is None or given.from_epoch < 1:
        raise UsageError("a role ends from epoch 1 on at the earliest")
    settlement, verifier = ledger.settlement(), given.verifier
    book = verifier_roles(settlement.connection, settlement.deployment, settlement.connection.head())
    held = [role for role in book.roles if (role.schema_id, role.verifier) == (schema_id(schema), verifier)]
    if not held:
        raise NotFoundError(
            f"{checksum_address(given.verifier)} never attested {given.schema}", hint="ath-ledger gov verifier list"
        )
    registries = [to_hex(registry) for registry in held[-1].registry_ids]
    last = given.from_epoch - 1
    call = verifier_call(ledger, given.schema, verifier, held[-1].affiliation, registries, given.from_epoch, last)
    if is_set(ledger, call):
        return None
    return Decision(
        call=call,
        meaning=f"{checksum_address(given.verifier)} attests {given.schema} up to epoch {last}",
        require=lambda delay_seconds: require_verifier_notice(ledger, given.from_epoch, delay_seconds),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = options(__doc__ or "")
    parser.add_argument("--schema", required=True, choices=("uptime", "energy", "renewable", "grid"))
    parser.add_argument("--verifier", type=parse_address, required=True, help="its address")
    parser.add_argument("--from-epoch", type=int, required=True, help="first epoch in which it counts no more")
    given = parser.parse_args(arguments)
    return govern(given, "verifier", lambda ledger: decide(ledger, given))


if __name__ == "__main__":
    sys.exit(main())
