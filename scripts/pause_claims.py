"""Let claims and activations rest, at once (no delay). Nothing is lost; resume_claims.py lets them go on.

    python scripts/pause_claims.py --workspace DIR --keystore guardian.json --password-file password --broadcast

For the guardian.
"""

import sys
from collections.abc import Sequence

from governing import Decision, govern, options

from ledger.steps.ledger import Ledger


def decide(ledger: Ledger) -> Decision | None:
    """The pause, unless claims are paused."""
    contract = ledger.settlement().rewards_ledger
    if contract.is_paused("latest"):
        return None
    return Decision(call=contract.pause_claims(), meaning="claims and activations rest")


def main(arguments: Sequence[str] | None = None) -> int:
    return govern(options(__doc__ or "").parse_args(arguments), "pause", decide)


if __name__ == "__main__":
    sys.exit(main())
