"""Let a verifier attest from an epoch on (rewards spec R1.2).

    python scripts/add_verifier.py --workspace DIR --schema energy --verifier 0x… --from-epoch 12 \
        --keystore governor.json --password-file password --broadcast

For a governor. A verifier of certificates also needs its registries: --registry 0x… (repeat for more).
"""

import argparse
import sys
from collections.abc import Sequence

from governing import Decision, govern, options

from ledger.steps.governing.verifier_role import is_set, require_verifier_notice, verifier_call
from ledger.steps.ledger import Ledger
from ledger.tree.keccak import checksum_address, parse_address


def decide(ledger: Ledger, given: argparse.Namespace) -> Decision | None:
    """The role, unless the verifier has exactly this one."""
    call = verifier_call(
        ledger, given.schema, given.verifier, given.affiliation, given.registry, given.from_epoch, None
    )
    if is_set(ledger, call):
        return None
    return Decision(
        call=call,
        meaning=f"{checksum_address(given.verifier)} attests {given.schema} from epoch {given.from_epoch} on",
        require=lambda delay_seconds: require_verifier_notice(ledger, given.from_epoch, delay_seconds),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = options(__doc__ or "")
    parser.add_argument("--schema", required=True, choices=("uptime", "energy", "renewable", "grid"))
    parser.add_argument("--verifier", type=parse_address, required=True, help="its address")
    parser.add_argument("--from-epoch", type=int, required=True, help="first epoch it may attest")
    parser.add_argument("--affiliation", type=parse_address, help="the operator it belongs to; none unless given")
    parser.add_argument("--registry", action="append", default=[], help="a certificate registry's id")
    given = parser.parse_args(arguments)
    return govern(given, "verifier", lambda ledger: decide(ledger, given))


if __name__ == "__main__":
    sys.exit(main())
