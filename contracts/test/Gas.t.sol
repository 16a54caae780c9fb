// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AthToken} from "../src/AthToken.sol";
import {EpochHeader} from "../src/EpochHeader.sol";
import {RewardsLedger} from "../src/RewardsLedger.sol";
import {LedgerTest} from "./LedgerTest.sol";
import {Tree} from "./TestBase.sol";

/// @notice Gas of whole transactions (21,000 and calldata included) in a tree of depth 19.
/// @dev Each top-level call runs as a transaction of its own, so slots are cold and calldata is charged as on a chain.
/// The tree is a small one with a spine of siblings above it: proofs have 19 nodes without 435,000 leaves.
/// forge-config: default.isolate = true
/// forge-config: ci.isolate = true
contract GasTest is LedgerTest {
    uint256 private constant DEPTH = 19;
    uint256 private constant SAMPLES = 24;
    uint256 private constant BATCH = 100;

    bytes32[] private _spine;
    address[] private _accounts;
    bytes32[] private _nodes;
    uint256[] private _cumulatives;

    function _award(uint256 count, uint256 round) private {
        delete _accounts;
        delete _cumulatives;
        uint256 size = 1;
        while (size < count) size *= 2;
        bytes32[] memory leaves = new bytes32[](size);
        for (uint256 i = 0; i < size; ++i) {
            address account = address(uint160(uint256(keccak256(abi.encode("account", i)))));
            uint256 cumulative = round * (6.6e18 + uint256(keccak256(abi.encode(i))) % 1e18);
            _accounts.push(account);
            _cumulatives.push(cumulative);
            leaves[i] = Tree.leaf(account, cumulative);
        }
        _nodes = Tree.build(leaves);
        delete _spine;
        for (uint256 left = size; left < 2 ** DEPTH; left *= 2) {
            _spine.push(keccak256(abi.encode("sibling", round, left)));
        }
        bytes32 root = _nodes[0];
        for (uint256 i = 0; i < _spine.length; ++i) {
            root = Tree.parent(root, _spine[i]);
        }
        _activate(_header(root, 1_000_000e18, 100e18, 1e11));
    }

    function _proof(uint256 index) private view returns (bytes32[] memory proof) {
        bytes32[] memory lower = Tree.proof(_nodes, index);
        proof = new bytes32[](lower.length + _spine.length);
        for (uint256 i = 0; i < lower.length; ++i) {
            proof[i] = lower[i];
        }
        for (uint256 i = 0; i < _spine.length; ++i) {
            proof[lower.length + i] = _spine[i];
        }
        vm.assertEq(proof.length, DEPTH, "depth");
    }

    function _medianClaim() private returns (uint256) {
        uint256[] memory used = new uint256[](SAMPLES);
        for (uint256 i = 0; i < SAMPLES; ++i) {
            address account = _accounts[i];
            uint256 cumulative = _cumulatives[i];
            bytes32[] memory proof = _proof(i);
            vm.prank(account);
            ledger.claim(account, cumulative, proof);
            used[i] = vm.lastCallGas().gasTotalUsed;
        }
        return _median(used);
    }

    function _median(uint256[] memory values) private pure returns (uint256) {
        for (uint256 i = 1; i < values.length; ++i) {
            for (uint256 place = i; place > 0 && values[place - 1] > values[place]; --place) {
                (values[place - 1], values[place]) = (values[place], values[place - 1]);
            }
        }
        return values[values.length / 2];
    }

    function test_gas_of_a_first_claim_and_of_the_next() public {
        _award(SAMPLES, 1);
        uint256 first = _medianClaim();
        _award(SAMPLES, 2);
        uint256 next = _medianClaim();
        vm.snapshotValue("RewardsLedger", "claim, first", first);
        vm.snapshotValue("RewardsLedger", "claim, next epoch", next);
        vm.assertLe(first, 94_400, "first claim");
        vm.assertLe(next, 60_200, "next-epoch claim");
    }

    function test_gas_of_a_first_claim_by_a_holder() public {
        _award(SAMPLES, 1);
        for (uint256 i = 0; i < SAMPLES; ++i) {
            vm.prank(treasury);
            AthToken(token).transfer(_accounts[i], 1);
        }
        uint256 first = _medianClaim();
        vm.snapshotValue("RewardsLedger", "claim, first as a holder", first);
        vm.assertLe(first, 77_300, "first claim as a holder");
    }

    function test_gas_of_a_hundred_claims_to_one_payee() public {
        address payee = _named("fund");
        _award(BATCH, 1);
        for (uint256 i = 0; i < BATCH; ++i) {
            vm.prank(_accounts[i]);
            ledger.setPayee(payee);
            ledger.claim(_accounts[i], _cumulatives[i], _proof(i));
        }
        _award(BATCH, 2);
        address[] memory accounts = new address[](BATCH);
        uint256[] memory cumulatives = new uint256[](BATCH);
        bytes32[][] memory proofs = new bytes32[][](BATCH);
        for (uint256 i = 0; i < BATCH; ++i) {
            accounts[i] = _accounts[i];
            cumulatives[i] = _cumulatives[i];
            proofs[i] = _proof(i);
        }
        ledger.claimMany(accounts, cumulatives, proofs);
        uint256 each = vm.lastCallGas().gasTotalUsed / BATCH;
        vm.snapshotValue("RewardsLedger", "claimMany, each of 100 to one payee", each);
        vm.assertLe(each, 27_000, "claimMany, each");
    }

    function test_gas_of_posting_an_epoch() public {
        for (uint256 i = 0; i < 4; ++i) {
            EpochHeader memory header = _header(keccak256(abi.encode("root", i)), 1_000_000e18 + i, 100e18, 1e11);
            vm.warp(_epochEnd(header.epoch));
            vm.prank(publisher);
            ledger.proposeEpoch(header);
            uint256 propose = vm.lastCallGas().gasTotalUsed;
            vm.warp(block.timestamp + WINDOW);
            ledger.activateEpoch(header);
            uint256 activate = vm.lastCallGas().gasTotalUsed;
            if (i < 2) continue;
            vm.snapshotValue("RewardsLedger", "proposeEpoch", propose);
            vm.snapshotValue("RewardsLedger", "activateEpoch", activate);
            vm.snapshotValue("RewardsLedger", "proposeEpoch and activateEpoch", propose + activate);
            vm.assertLe(propose + activate, 200_000, "propose and activate");
        }
    }
}
