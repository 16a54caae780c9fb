"""Change the price of a tonne of CO2e (carbonPriceWeiPerTonne, rewards spec R5.1): at most 20 % at once.

    python scripts/change_carbon_price.py --workspace DIR --to-wei 880000000000000000000 --effective-epoch 12 \
        --keystore governor.json --password-file password --broadcast

For a governor. Simulate first: `ath-ledger gov simulate --set carbonPriceWeiPerTonne=880000000000000000000`.
"""

import sys
from collections.abc import Sequence

from governing import govern, options, policy_decision


def main(arguments: Sequence[str] | None = None) -> int:
    parser = options(__doc__ or "")
    parser.add_argument("--to-wei", type=int, required=True, help="the new price of a tonne, in wei of ATH")
    parser.add_argument("--effective-epoch", type=int, required=True, help="first epoch it governs")
    given = parser.parse_args(arguments)
    return govern(
        given,
        "policy",
        lambda ledger: policy_decision(ledger, given.effective_epoch, carbonPriceWeiPerTonne=given.to_wei),
    )


if __name__ == "__main__":
    sys.exit(main())
