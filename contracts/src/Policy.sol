// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice One version of all reward parameters, immutable once effective.
/// @dev The policy hash is keccak256(abi.encode(policy)): the order of the members is part of the encoding, their
/// widths are not. They are chosen so that a policy takes three slots and the first holds what the money path reads.
struct Policy {
    uint96 epochBudgetWei;
    uint16 reserveBps;
    uint16 carbonCapBps;
    uint96 carbonPriceWeiPerTonne;
    uint32 uMinPpm;
    uint32 uFullPpm;
    uint16 kEffBps;
    uint32 sClampPpm;
    uint16 pueRefE4;
    uint16 gMatchBps;
    uint16 t2QualityBps;
    uint16 gGridBps;
    uint32 refEfMgPerKwh;
    uint32 maxMultPpm;
    uint8 quorumQ;
    uint8 quorumK;
    bool countNuclear;
    bytes32 tablesHash;
}

/// @title PolicyBounds
/// @notice The range of every parameter, and how far one policy may move from the one before.
/// @dev `tablesHash` has no bound here: the contract sees a hash only. Whoever verifies an epoch checks the tables.
library PolicyBounds {
    /// @notice A parameter lies outside its fixed range.
    error OutOfBounds(string parameter, uint256 value, uint256 min, uint256 max);
    /// @notice A parameter moves further from the latest scheduled policy than one step allows.
    error StepTooLarge(string parameter, uint256 from, uint256 to, uint256 maxStep);
    /// @notice The budget of an epoch only ever falls.
    error BudgetRises(uint256 from, uint256 to);
    /// @notice With q ≤ k/2 a minute could be up and down at once; q > k could never be reached.
    error NoMajority(uint256 quorumQ, uint256 quorumK);

    function checkBounds(Policy memory policy) internal pure {
        // epochBudgetWei: its type is its bound.
        _within("reserveBps", policy.reserveBps, 0, 3000);
        _within("carbonCapBps", policy.carbonCapBps, 0, 2000);
        _within("carbonPriceWeiPerTonne", policy.carbonPriceWeiPerTonne, 1e18, 1e23);
        _within("uMinPpm", policy.uMinPpm, 500_000, 980_000);
        _within("uFullPpm", policy.uFullPpm, uint256(policy.uMinPpm) + 10_000, 1_000_000);
        _within("kEffBps", policy.kEffBps, 0, 10_000);
        _within("sClampPpm", policy.sClampPpm, 0, 500_000);
        _within("pueRefE4", policy.pueRefE4, 10_500, 20_000);
        _within("gMatchBps", policy.gMatchBps, 0, 5000);
        _within("t2QualityBps", policy.t2QualityBps, 0, 5000);
        _within("gGridBps", policy.gGridBps, 0, 1500);
        _within("refEfMgPerKwh", policy.refEfMgPerKwh, 100_000, 1_000_000);
        _within("maxMultPpm", policy.maxMultPpm, 1_000_000, 2_000_000);
        _within("quorumQ", policy.quorumQ, 2, 15);
        _within("quorumK", policy.quorumK, 3, 21);
        uint256 q = policy.quorumQ;
        uint256 k = policy.quorumK;
        if (2 * q <= k || q > k) revert NoMajority(q, k);
    }

    function checkSteps(Policy memory previous, Policy memory next) internal pure {
        if (next.epochBudgetWei > previous.epochBudgetWei) {
            revert BudgetRises(previous.epochBudgetWei, next.epochBudgetWei);
        }
        _percentStep("epochBudgetWei", previous.epochBudgetWei, next.epochBudgetWei, 10);
        _step("reserveBps", previous.reserveBps, next.reserveBps, 100);
        _step("carbonCapBps", previous.carbonCapBps, next.carbonCapBps, 100);
        _percentStep("carbonPriceWeiPerTonne", previous.carbonPriceWeiPerTonne, next.carbonPriceWeiPerTonne, 20);
        _step("uMinPpm", previous.uMinPpm, next.uMinPpm, 10_000);
        _step("uFullPpm", previous.uFullPpm, next.uFullPpm, 10_000);
        _step("kEffBps", previous.kEffBps, next.kEffBps, 500);
        _step("sClampPpm", previous.sClampPpm, next.sClampPpm, 50_000);
        _step("pueRefE4", previous.pueRefE4, next.pueRefE4, 200);
        _step("gMatchBps", previous.gMatchBps, next.gMatchBps, 250);
        _step("t2QualityBps", previous.t2QualityBps, next.t2QualityBps, 500);
        _step("gGridBps", previous.gGridBps, next.gGridBps, 100);
        _step("refEfMgPerKwh", previous.refEfMgPerKwh, next.refEfMgPerKwh, 25_000);
        _step("maxMultPpm", previous.maxMultPpm, next.maxMultPpm, 50_000);
        // quorum, countNuclear and tablesHash have no step.
    }

    function _within(string memory parameter, uint256 value, uint256 min, uint256 max) private pure {
        if (value < min || value > max) revert OutOfBounds(parameter, value, min, max);
    }

    function _step(string memory parameter, uint256 from, uint256 to, uint256 maxStep) private pure {
        if (_distance(from, to) > maxStep) revert StepTooLarge(parameter, from, to, maxStep);
    }

    /// @dev 100·|Δ| ≤ percent·from, without division; the error names the largest whole step.
    function _percentStep(string memory parameter, uint256 from, uint256 to, uint256 percent) private pure {
        if (100 * _distance(from, to) > percent * from) {
            revert StepTooLarge(parameter, from, to, percent * from / 100);
        }
    }

    function _distance(uint256 a, uint256 b) private pure returns (uint256) {
        return a > b ? a - b : b - a;
    }
}
