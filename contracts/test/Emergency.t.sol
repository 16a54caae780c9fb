// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AthToken} from "../src/AthToken.sol";
import {EpochHeader} from "../src/EpochHeader.sol";
import {RewardsLedger} from "../src/RewardsLedger.sol";
import {LedgerTest} from "./LedgerTest.sol";
import {Tree} from "./TestBase.sol";

/// @dev Pausing, resuming, correcting a tree, recovering foreign tokens.
contract EmergencyTest is LedgerTest {
    bytes32[] private _first;
    bytes32[] private _second;

    function setUp() public override {
        super.setUp();
        _first = _activatePaying(_three(), _amounts(100, 200, 300), 600);
        _second = _activatePaying(_three(), _amounts(110, 220, 330), 60);
    }

    function _pause() private {
        vm.prank(guardian);
        ledger.pauseClaims();
    }

    function _resume() private {
        vm.prank(governor);
        ledger.resumeClaims();
    }

    function _correction(bytes32 root) private view returns (EpochHeader memory) {
        uint64 epoch = ledger.nextEpoch() - 1;
        return EpochHeader({
            epoch: epoch,
            claimRoot: root,
            ledgerHead: keccak256("correction"),
            policyHash: registry.policyHashAt(epoch),
            manifestHash: keccak256("manifest"),
            parentHash: ledger.lastHeaderHash(),
            payout: 0,
            carbon: 0,
            reserve: 0,
            rollover: ledger.rollover(),
            residualMicrograms: 0
        });
    }

    function _supersede(bytes32 root) private {
        EpochHeader memory header = _correction(root);
        vm.prank(governor);
        ledger.supersedeRoot(header);
    }

    function _refused(EpochHeader memory header, bytes memory reason) private {
        vm.expectRevert(reason);
        vm.prank(governor);
        ledger.supersedeRoot(header);
    }

    /* PAUSE */

    function test_nothing_moves_while_paused_and_resuming_brings_both_roots_back() public {
        vm.expectEmit(address(ledger));
        emit RewardsLedger.ClaimsPaused(_second[0], _first[0]);
        _pause();
        vm.assertTrue(ledger.paused(), "paused");
        vm.assertEq(ledger.claimRoot(), 0, "root is away");
        vm.assertEq(ledger.savedRoot(), _second[0], "root is kept");
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.ClaimsArePaused.selector));
        ledger.claim(alice, 110, Tree.proof(_second, 0));
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.ClaimsArePaused.selector));
        ledger.claim(alice, 100, Tree.proof(_first, 0));

        vm.expectEmit(address(ledger));
        emit RewardsLedger.ClaimsResumed(_second[0], _first[0]);
        _resume();
        vm.assertTrue(!ledger.paused(), "not paused");
        vm.assertEq(ledger.savedRoot(), 0, "nothing kept");
        vm.assertEq(ledger.savedPreviousRoot(), 0, "nothing kept");
        ledger.claim(alice, 100, Tree.proof(_first, 0));
        ledger.claim(alice, 110, Tree.proof(_second, 0));
    }

    function test_pausing_twice_cannot_lose_the_roots() public {
        _pause();
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.ClaimsArePaused.selector));
        _pause();
        _resume();
        vm.assertEq(ledger.claimRoot(), _second[0], "root");
        vm.assertEq(ledger.previousRoot(), _first[0], "previous root");
    }

    function test_resuming_needs_a_pause() public {
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.ClaimsAreNotPaused.selector));
        _resume();
    }

    function test_no_epoch_activates_while_paused() public {
        EpochHeader memory header = _header(keccak256("third"), 1, 0, 0);
        _propose(header);
        _pause();
        vm.warp(block.timestamp + WINDOW);
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.ClaimsArePaused.selector));
        ledger.activateEpoch(header);
        _resume();
        ledger.activateEpoch(header);
        vm.assertEq(ledger.claimRoot(), keccak256("third"), "root");
        vm.assertEq(ledger.previousRoot(), _second[0], "previous root");
    }

    /* SUPERSEDE */

    function test_a_correction_replaces_the_tree_and_moves_no_money() public {
        bytes32[] memory right = _tree(_three(), _amounts(105, 225, 330));
        uint256 before = _balance(address(ledger));
        uint256 rollover = ledger.rollover();
        _pause();
        EpochHeader memory header = _correction(right[0]);
        vm.expectEmit(address(ledger));
        emit RewardsLedger.RootSuperseded(1, _hash(header), header);
        vm.prank(governor);
        ledger.supersedeRoot(header);
        vm.assertEq(ledger.lastHeaderHash(), _hash(header), "the correction is the last header");
        vm.assertEq(ledger.nextEpoch(), 2, "the next epoch stays");
        vm.assertEq(ledger.claimRoot(), 0, "still paused");
        _resume();
        vm.assertEq(ledger.claimRoot(), right[0], "root");
        vm.assertEq(ledger.previousRoot(), 0, "both old roots are gone");
        vm.assertEq(_balance(address(ledger)), before, "balance");
        vm.assertEq(ledger.rollover(), rollover, "rollover");

        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.InvalidProof.selector, alice, 110));
        ledger.claim(alice, 110, Tree.proof(_second, 0));
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.InvalidProof.selector, alice, 100));
        ledger.claim(alice, 100, Tree.proof(_first, 0));
        ledger.claim(bob, 225, Tree.proof(right, 1));

        header = _header(keccak256("third"), 1, 0, 0);
        vm.assertEq(header.parentHash, ledger.lastHeaderHash(), "the chain goes on from the correction");
        _activate(header);
    }

    function test_a_correction_can_be_corrected() public {
        _pause();
        _supersede(keccak256("wrong too"));
        _supersede(_second[0]);
        _resume();
        vm.assertEq(ledger.claimRoot(), _second[0], "root");
    }

    function test_a_correction_needs_a_pause() public {
        _refused(_correction(keccak256("other")), abi.encodeWithSelector(RewardsLedger.ClaimsAreNotPaused.selector));
    }

    function test_a_correction_needs_nothing_pending() public {
        EpochHeader memory header = _header(keccak256("third"), 1, 0, 0);
        _propose(header);
        uint256 activatesAt = block.timestamp + WINDOW;
        _pause();
        _refused(
            _correction(keccak256("other")),
            abi.encodeWithSelector(RewardsLedger.EpochPending.selector, _hash(header), activatesAt)
        );
        vm.prank(guardian);
        ledger.revokeEpoch(header);
        _supersede(keccak256("other"));
    }

    function test_a_correction_needs_an_epoch() public {
        setUpEmpty();
        _pause();
        EpochHeader memory header;
        _refused(header, abi.encodeWithSelector(RewardsLedger.NoEpochYet.selector));
    }

    function setUpEmpty() private {
        vm.warp(GENESIS - 1 days);
        _deploy(address(new AthToken(treasury)));
        registry.schedule(_policy(), 0);
        _grantRoles();
    }

    function test_a_correction_is_of_the_last_epoch_and_its_chain() public {
        _pause();
        EpochHeader memory header = _correction(keccak256("other"));
        header.epoch = 0;
        _refused(header, abi.encodeWithSelector(RewardsLedger.WrongEpoch.selector, 1, 0));
        header.epoch = 2;
        _refused(header, abi.encodeWithSelector(RewardsLedger.WrongEpoch.selector, 1, 2));
        header.epoch = 1;
        bytes32 parent = header.parentHash;
        header.parentHash = 0;
        _refused(header, abi.encodeWithSelector(RewardsLedger.WrongParent.selector, parent, 0));
        header.parentHash = parent;
        bytes32 policyHash = header.policyHash;
        header.policyHash = 0;
        _refused(header, abi.encodeWithSelector(RewardsLedger.WrongPolicy.selector, policyHash, 0));
        header.policyHash = policyHash;
        header.claimRoot = 0;
        _refused(header, abi.encodeWithSelector(RewardsLedger.RootMissing.selector));
    }

    function test_a_correction_moves_no_money() public {
        _pause();
        for (uint256 field = 0; field < 4; ++field) {
            EpochHeader memory header = _correction(keccak256("other"));
            if (field == 0) header.payout = 1;
            if (field == 1) header.carbon = 1;
            if (field == 2) header.reserve = 1;
            if (field == 3) header.residualMicrograms = 1;
            _refused(
                header,
                abi.encodeWithSelector(
                    RewardsLedger.CorrectionMovesMoney.selector,
                    header.payout,
                    header.carbon,
                    header.reserve,
                    header.residualMicrograms
                )
            );
        }
        EpochHeader memory moved = _correction(keccak256("other"));
        moved.rollover -= 1;
        _refused(moved, abi.encodeWithSelector(RewardsLedger.WrongRollover.selector, ledger.rollover(), moved.rollover));
    }

    /* FOREIGN TOKENS */

    function test_foreign_tokens_can_be_recovered_and_rewards_cannot() public {
        AthToken foreign = new AthToken(address(this));
        foreign.transfer(address(ledger), 70);
        vm.expectEmit(address(ledger));
        emit RewardsLedger.ForeignTokenRecovered(address(foreign), bob, 70);
        vm.prank(governor);
        ledger.recoverForeign(address(foreign), bob, 70);
        vm.assertEq(foreign.balanceOf(bob), 70, "recovered");
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.NotForeign.selector, token));
        vm.prank(governor);
        ledger.recoverForeign(token, bob, 1);
    }
}
