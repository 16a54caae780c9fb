// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EpochHeader} from "../src/EpochHeader.sol";
import {RewardsLedger} from "../src/RewardsLedger.sol";
import {LedgerTest} from "./LedgerTest.sol";
import {Tree} from "./TestBase.sol";

contract ClaimsTest is LedgerTest {
    bytes32[] private _nodes;

    function setUp() public override {
        super.setUp();
        _nodes = _activatePaying(_three(), _amounts(100, 200, 300), 600);
    }

    function test_a_claim_pays_the_leaf_and_says_so() public {
        vm.expectEmit(address(ledger));
        emit RewardsLedger.Claimed(bob, bob, 200, 200);
        vm.prank(stranger);
        ledger.claim(bob, 200, Tree.proof(_nodes, 1));
        vm.assertEq(_balance(bob), 200, "balance");
        vm.assertEq(ledger.claimed(bob), 200, "claimed");
        vm.assertEq(_balance(address(ledger)), 400, "the rest stays");
    }

    function test_a_second_claim_moves_nothing() public {
        ledger.claim(bob, 200, Tree.proof(_nodes, 1));
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.NothingToClaim.selector, bob, 200, 200));
        ledger.claim(bob, 200, Tree.proof(_nodes, 1));
    }

    function test_a_later_epoch_pays_the_difference() public {
        ledger.claim(bob, 200, Tree.proof(_nodes, 1));
        bytes32[] memory nodes = _activatePaying(_three(), _amounts(100, 250, 300), 50);
        vm.expectEmit(address(ledger));
        emit RewardsLedger.Claimed(bob, bob, 50, 250);
        ledger.claim(bob, 250, Tree.proof(nodes, 1));
        vm.assertEq(_balance(bob), 250, "balance");
    }

    function test_an_activation_fails_no_claim_in_flight() public {
        bytes32[] memory nodes = _activatePaying(_three(), _amounts(100, 250, 300), 50);
        ledger.claim(bob, 200, Tree.proof(_nodes, 1));
        ledger.claim(bob, 250, Tree.proof(nodes, 1));
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.NothingToClaim.selector, bob, 200, 250));
        ledger.claim(bob, 200, Tree.proof(_nodes, 1));
        vm.assertEq(_balance(bob), 250, "balance");
    }

    function test_the_root_before_the_previous_one_is_gone() public {
        _activatePaying(_three(), _amounts(100, 250, 300), 50);
        _activatePaying(_three(), _amounts(100, 260, 300), 10);
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.InvalidProof.selector, bob, 200));
        ledger.claim(bob, 200, Tree.proof(_nodes, 1));
    }

    function testFuzz_another_account_or_amount_is_refused(address account, uint256 cumulative) public {
        vm.assume(account != bob || cumulative != 200);
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.InvalidProof.selector, account, cumulative));
        ledger.claim(account, cumulative, Tree.proof(_nodes, 1));
    }

    function testFuzz_a_changed_proof_is_refused(uint256 place, uint256 bit) public {
        bytes32[] memory proof = Tree.proof(_nodes, 1);
        place = place % proof.length;
        proof[place] = bytes32(uint256(proof[place]) ^ (1 << (bit % 256)));
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.InvalidProof.selector, bob, 200));
        ledger.claim(bob, 200, proof);
    }

    function test_a_proof_with_a_node_more_or_less_is_refused() public {
        bytes32[] memory proof = Tree.proof(_nodes, 1);
        bytes memory refusal = abi.encodeWithSelector(RewardsLedger.InvalidProof.selector, bob, 200);
        bytes32[] memory longer = new bytes32[](proof.length + 1);
        bytes32[] memory shorter = new bytes32[](proof.length - 1);
        for (uint256 i = 0; i < proof.length; ++i) {
            longer[i] = proof[i];
            if (i < shorter.length) shorter[i] = proof[i];
        }
        vm.expectRevert(refusal);
        ledger.claim(bob, 200, longer);
        vm.expectRevert(refusal);
        ledger.claim(bob, 200, shorter);
        vm.expectRevert(refusal);
        ledger.claim(bob, 200, new bytes32[](0));
    }

    /// @dev An inner node is the hash of 64 bytes, and so would a leaf be if it were hashed once: the two halves would
    /// read as account and amount. Here the node is the root, so the proof is empty.
    function test_an_inner_node_is_no_leaf() public {
        bytes32 left = bytes32(uint256(uint160(alice)));
        bytes32 right = bytes32(uint256(type(uint96).max));
        bytes32 root = keccak256(abi.encode(left, right));
        _activate(_header(root, 1, 0, 0));
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.InvalidProof.selector, alice, uint256(type(uint96).max)));
        ledger.claim(alice, type(uint96).max, new bytes32[](0));
        root = keccak256(bytes.concat(root));
        _activate(_header(root, 1, 0, 0));
        vm.assertEq(root, Tree.leaf(alice, type(uint96).max), "hashed twice it is one");
    }

    function test_a_tree_of_one_leaf_has_an_empty_proof() public {
        _activate(_header(Tree.leaf(alice, 150), 50, 0, 0));
        ledger.claim(alice, 150, new bytes32[](0));
        vm.assertEq(_balance(alice), 150, "balance");
    }

    function test_nothing_can_be_claimed_before_the_first_payout() public {
        vm.warp(GENESIS - 1 days);
        _deploy(token);
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.InvalidProof.selector, alice, 1));
        ledger.claim(alice, 1, new bytes32[](0));
    }

    function test_a_leaf_beyond_ninety_six_bits_is_refused() public {
        uint256 tooMuch = uint256(type(uint96).max) + 1;
        bytes32[] memory nodes = _activatePaying(_three(), _amounts(tooMuch, tooMuch + 200, type(uint96).max), 1);
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.CumulativeTooLarge.selector, alice, tooMuch));
        ledger.claim(alice, tooMuch, Tree.proof(nodes, 0));
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.CumulativeTooLarge.selector, bob, tooMuch + 200));
        ledger.claim(bob, tooMuch + 200, Tree.proof(nodes, 1));
        // 2^96 − 1 itself passes that check and fails for want of money.
        vm.expectRevert(RewardsLedger.TransferFailed.selector);
        ledger.claim(carol, type(uint96).max, Tree.proof(nodes, 2));
        vm.assertEq(ledger.claimed(carol), 0, "undone");
    }

    /* BATCHES */

    function _batch() private view returns (address[] memory, uint256[] memory, bytes32[][] memory proofs) {
        proofs = new bytes32[][](3);
        for (uint256 i = 0; i < 3; ++i) {
            proofs[i] = Tree.proof(_nodes, i);
        }
        return (_three(), _amounts(100, 200, 300), proofs);
    }

    function test_a_batch_pays_everybody_and_returns_the_sum() public {
        (address[] memory accounts, uint256[] memory cumulatives, bytes32[][] memory proofs) = _batch();
        vm.expectEmit(address(ledger));
        emit RewardsLedger.Claimed(alice, alice, 100, 100);
        vm.expectEmit(address(ledger));
        emit RewardsLedger.Claimed(bob, bob, 200, 200);
        vm.expectEmit(address(ledger));
        emit RewardsLedger.Claimed(carol, carol, 300, 300);
        uint256 total = ledger.claimMany(accounts, cumulatives, proofs);
        vm.assertEq(total, 600, "total");
        vm.assertEq(_balance(alice), 100, "alice");
        vm.assertEq(_balance(bob), 200, "bob");
        vm.assertEq(_balance(carol), 300, "carol");
        vm.assertEq(_balance(address(ledger)), 0, "nothing left");
    }

    function test_a_settled_item_is_skipped() public {
        (address[] memory accounts, uint256[] memory cumulatives, bytes32[][] memory proofs) = _batch();
        ledger.claim(bob, 200, proofs[1]);
        vm.assertEq(ledger.claimMany(accounts, cumulatives, proofs), 400, "the other two");
        vm.assertEq(ledger.claimMany(accounts, cumulatives, proofs), 0, "a second time nothing");
        vm.assertEq(_balance(bob), 200, "bob");
    }

    function test_a_wrong_item_refuses_the_batch() public {
        (address[] memory accounts, uint256[] memory cumulatives, bytes32[][] memory proofs) = _batch();
        cumulatives[2] = 301;
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.InvalidProof.selector, carol, 301));
        ledger.claimMany(accounts, cumulatives, proofs);
        vm.assertEq(_balance(alice), 0, "nobody is paid");
    }

    function test_lists_of_different_lengths_are_refused() public {
        (address[] memory accounts, uint256[] memory cumulatives, bytes32[][] memory proofs) = _batch();
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.LengthMismatch.selector, 3, 2, 3));
        ledger.claimMany(accounts, new uint256[](2), proofs);
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.LengthMismatch.selector, 3, 3, 4));
        ledger.claimMany(accounts, cumulatives, new bytes32[][](4));
        vm.assertEq(ledger.claimMany(new address[](0), new uint256[](0), new bytes32[][](0)), 0, "empty");
    }

    event Transfer(address indexed from, address indexed to, uint256 value);

    function test_neighbours_with_one_payee_share_a_transfer() public {
        vm.prank(alice);
        ledger.setPayee(stranger);
        vm.prank(bob);
        ledger.setPayee(stranger);
        (address[] memory accounts, uint256[] memory cumulatives, bytes32[][] memory proofs) = _batch();
        vm.expectEmit(address(ledger));
        emit RewardsLedger.Claimed(alice, stranger, 100, 100);
        vm.expectEmit(address(ledger));
        emit RewardsLedger.Claimed(bob, stranger, 200, 200);
        vm.expectEmit(token);
        emit Transfer(address(ledger), stranger, 300);
        vm.expectEmit(token);
        emit Transfer(address(ledger), carol, 300);
        ledger.claimMany(accounts, cumulatives, proofs);
    }

    /// @dev Any choice of items, in any order and with duplicates, with any payees, ends as the single claims do.
    function testFuzz_a_batch_is_the_sequence_of_its_claims(uint256 seed, uint8 length) public {
        uint256 count = length % 9;
        address[3] memory payees = [alice, bob, stranger];
        for (uint256 i = 0; i < 3; ++i) {
            vm.prank(_three()[i]);
            ledger.setPayee(payees[uint256(keccak256(abi.encode(seed, "payee", i))) % 3]);
        }
        address[] memory accounts = new address[](count);
        uint256[] memory cumulatives = new uint256[](count);
        bytes32[][] memory proofs = new bytes32[][](count);
        uint256 paid;
        uint256 seen;
        uint256[] memory expected = new uint256[](3);
        for (uint256 i = 0; i < count; ++i) {
            uint256 pick = uint256(keccak256(abi.encode(seed, i))) % 3;
            accounts[i] = _three()[pick];
            cumulatives[i] = _amounts(100, 200, 300)[pick];
            proofs[i] = Tree.proof(_nodes, pick);
            if (seen & (1 << pick) != 0) continue;
            seen |= 1 << pick;
            paid += cumulatives[i];
            for (uint256 j = 0; j < 3; ++j) {
                if (ledger.payeeOf(accounts[i]) == payees[j]) expected[j] += cumulatives[i];
            }
        }
        vm.assertEq(ledger.claimMany(accounts, cumulatives, proofs), paid, "returned");
        for (uint256 j = 0; j < 3; ++j) {
            vm.assertEq(_balance(payees[j]), expected[j], "payee");
            vm.assertEq(ledger.claimed(_three()[j]), seen & (1 << j) != 0 ? _amounts(100, 200, 300)[j] : 0, "claimed");
        }
        vm.assertEq(_balance(address(ledger)), 600 - paid, "ledger");
    }
}
