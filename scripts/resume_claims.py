"""Let claims and activations go on after a pause.

    python scripts/resume_claims.py --workspace DIR --keystore governor.json --password-file password --broadcast

For a governor, with the delay of that role: stopping is quick, going on is public first.
"""

import sys
from collections.abc import Sequence

from governing import Decision, govern, options

from ledger.steps.ledger import Ledger


def decide(ledger: Ledger) -> Decision | None:
    """The resumption, unless claims are not paused."""
    contract = ledger.settlement().rewards_ledger
    if not contract.is_paused("latest"):
        return None
    return Decision(call=contract.resume_claims(), meaning="claims and activations go on")


def main(arguments: Sequence[str] | None = None) -> int:
    return govern(options(__doc__ or "").parse_args(arguments), "resume", decide)


if __name__ == "__main__":
    sys.exit(main())
