"""Raise what matched renewable energy earns (gMatchBps, rewards spec R5.1): at most 250 bps at once.

    python scripts/raise_green_multiplier.py --workspace DIR --to-bps 2250 --effective-epoch 12 \
        --keystore governor.json --password-file password --broadcast

For a governor. Simulate first: `ath-ledger gov simulate --set gMatchBps=2250`.
"""

import sys
from collections.abc import Sequence

from governing import govern, options, policy_decision


def main(arguments: Sequence[str] | None = None) -> int:
    parser = options(__doc__ or "")
    parser.add_argument("--to-bps", type=int, required=True, help="the new gMatchBps")
    parser.add_argument("--effective-epoch", type=int, required=True, help="first epoch it governs")
    given = parser.parse_args(arguments)
    return govern(
        given, "policy", lambda ledger: policy_decision(ledger, given.effective_epoch, gMatchBps=given.to_bps)
    )


if __name__ == "__main__":
    sys.exit(main())
