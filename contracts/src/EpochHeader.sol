// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice What goes on chain for one epoch. Headers form a chain through `parentHash`.
/// @dev Only keccak256(abi.encode(header)) is stored; the header itself is emitted whole.
/// @param epoch Number of the epoch, from 0.
/// @param claimRoot Root over (account, cumulative wei) of everything ever paid out, this epoch included.
/// @param ledgerHead Hash of the journal entry that books the epoch.
/// @param policyHash Hash of the policy the epoch was computed under.
/// @param manifestHash Hash of all inputs and rules of the result.
/// @param parentHash Hash of the header before; 0 for the first.
/// @param payout Wei added to the operators' leaves by this epoch.
/// @param carbon Wei carved out for carbon retirements.
/// @param reserve Wei carved out for the strategic reserve.
/// @param rollover Wei left for the next epoch.
/// @param residualMicrograms The epoch's own residual µg CO2e, without what was carried in.
struct EpochHeader {
    uint64 epoch;
    bytes32 claimRoot;
    bytes32 ledgerHead;
    bytes32 policyHash;
    bytes32 manifestHash;
    bytes32 parentHash;
    uint96 payout;
    uint96 carbon;
    uint96 reserve;
    uint96 rollover;
    uint128 residualMicrograms;
}
