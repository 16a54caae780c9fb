// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title AthToken
/// @notice The token of local and test deployments: plain ERC-20 with permit and a supply of 42 billion.
/// @dev The whole supply is minted at deployment and there is no mint function, so the cap needs no check.
contract AthToken is ERC20, ERC20Permit {
    /// @notice 42 billion ATH in wei; below 2^96, which every amount in the ledger relies on.
    uint256 public constant CAP = 42_000_000_000e18;

    /// @param holder Receives the whole supply: usually the treasury that funds the epochs.
    constructor(address holder) ERC20("Aethir Token", "ATH") ERC20Permit("Aethir Token") {
        _mint(holder, CAP);
    }
}
