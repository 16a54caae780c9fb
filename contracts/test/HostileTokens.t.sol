// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {CarbonVault} from "../src/CarbonVault.sol";
import {EpochHeader} from "../src/EpochHeader.sol";
import {RewardsLedger} from "../src/RewardsLedger.sol";
import {LedgerTest} from "./LedgerTest.sol";
import {Tree} from "./TestBase.sol";

/// @dev A token that can be told to misbehave from some transfer on.
contract HostileToken is ERC20("Hostile", "H") {
    bool public lies;
    bool public silent;
    address public feeOnTransfersTo;
    address public target;
    bytes public call;
    bool public callSucceeded;
    uint256 public callbacks;

    constructor(address holder) {
        _mint(holder, 42_000_000_000e18);
    }

    function lie() external {
        lies = true;
    }

    function beSilent() external {
        silent = true;
    }

    /// @param to Recipient whose transfers lose a wei, or this contract for everybody's.
    function takeFee(address to) external {
        feeOnTransfersTo = to;
    }

    function callBack(address target_, bytes calldata call_) external {
        target = target_;
        call = call_;
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        if (lies) return false;
        return super.transfer(to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        if (lies) return false;
        super.transferFrom(from, to, amount);
        if (silent) {
            assembly ("memory-safe") {
                return(0, 0)
            }
        }
        return true;
    }

    function _update(address from, address to, uint256 amount) internal override {
        if (target != address(0)) {
            (address target_, bytes memory call_) = (target, call);
            target = address(0);
            ++callbacks;
            (callSucceeded,) = target_.call(call_);
        }
        super._update(from, to, amount);
        if (from != address(0) && (feeOnTransfersTo == to || feeOnTransfersTo == address(this))) {
            super._update(to, address(0xdead), 1);
        }
    }
}

contract HostileTokensTest is LedgerTest {
    HostileToken private _token;

    function setUp() public override {
        vm.warp(GENESIS - 1 days);
        _token = new HostileToken(treasury);
        _deploy(address(_token));
        registry.schedule(_policy(), 0);
        _grantRoles();
        vm.prank(treasury);
        _token.approve(address(ledger), type(uint256).max);
    }

    function _ready() private returns (EpochHeader memory header, bytes32[] memory nodes) {
        nodes = _tree(_three(), _amounts(100, 200, 300));
        header = _header(nodes[0], 600, 50e18, 1e11);
        _propose(header);
        vm.warp(block.timestamp + WINDOW);
    }

    function test_a_token_that_keeps_a_fee_cannot_fund_an_epoch() public {
        (EpochHeader memory header,) = _ready();
        _token.takeFee(address(_token));
        uint256 total = 600 + 50e18 + uint256(header.reserve);
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.TransferShort.selector, address(ledger), total, total - 1));
        ledger.activateEpoch(header);
        vm.assertEq(ledger.nextEpoch(), 0, "nothing happened");
    }

    function test_a_fee_that_hits_vault_or_reserve_alone_is_refused_too() public {
        (EpochHeader memory header,) = _ready();
        _token.takeFee(address(vault));
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.TransferShort.selector, address(vault), 50e18, 50e18 - 1));
        ledger.activateEpoch(header);
        _token.takeFee(reserve);
        vm.expectRevert(
            abi.encodeWithSelector(RewardsLedger.TransferShort.selector, reserve, header.reserve, header.reserve - 1)
        );
        ledger.activateEpoch(header);
    }

    function test_a_token_that_returns_false_has_not_paid() public {
        (EpochHeader memory header,) = _ready();
        _token.lie();
        uint256 total = 600 + 50e18 + uint256(header.reserve);
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.PullFailed.selector, treasury, total));
        ledger.activateEpoch(header);
        vm.assertEq(ledger.claimRoot(), 0, "no root");
    }

    function test_a_claim_that_the_token_refuses_is_undone() public {
        (EpochHeader memory header, bytes32[] memory nodes) = _ready();
        ledger.activateEpoch(header);
        _token.lie();
        vm.expectRevert(RewardsLedger.TransferFailed.selector);
        ledger.claim(alice, 100, Tree.proof(nodes, 0));
        vm.assertEq(ledger.claimed(alice), 0, "still claimable");
    }

    function test_a_token_that_returns_nothing_works() public {
        (EpochHeader memory header,) = _ready();
        _token.beSilent();
        ledger.activateEpoch(header);
        vm.assertEq(_token.balanceOf(address(ledger)), 600, "funded");
    }

    function test_a_token_without_code_is_refused() public {
        (EpochHeader memory header,) = _ready();
        vm.etch(address(_token), "");
        uint256 total = 600 + 50e18 + uint256(header.reserve);
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.PullFailed.selector, treasury, total));
        ledger.activateEpoch(header);
    }

    function test_a_retirement_that_loses_a_fee_is_refused() public {
        (EpochHeader memory header,) = _ready();
        ledger.activateEpoch(header);
        _token.takeFee(bob);
        vm.expectRevert(abi.encodeWithSelector(CarbonVault.TransferShort.selector, bob, 1e15, 1e15 - 1));
        vm.prank(retirer);
        vault.retire(2, 1e15, bob, keccak256("c"), "");
        vm.assertEq(vault.spent(), 0, "nothing spent");
    }

    /* REENTRANCY */

    function test_a_reentrant_token_cannot_claim_twice() public {
        (EpochHeader memory header, bytes32[] memory nodes) = _ready();
        ledger.activateEpoch(header);
        bytes32[] memory proof = Tree.proof(nodes, 0);
        _token.callBack(address(ledger), abi.encodeCall(RewardsLedger.claim, (alice, 100, proof)));
        ledger.claim(alice, 100, proof);
        vm.assertEq(_token.callbacks(), 1, "it called back");
        vm.assertTrue(!_token.callSucceeded(), "in vain");
        vm.assertEq(_token.balanceOf(alice), 100, "once");
    }

    function test_a_claim_inside_a_batch_is_paid_once() public {
        (EpochHeader memory header, bytes32[] memory nodes) = _ready();
        ledger.activateEpoch(header);
        bytes32[][] memory proofs = new bytes32[][](3);
        for (uint256 i = 0; i < 3; ++i) {
            proofs[i] = Tree.proof(nodes, i);
        }
        // Called back in Alice's transfer, when Bob's item is already written and Carol's is not.
        _token.callBack(address(ledger), abi.encodeCall(RewardsLedger.claim, (carol, 300, proofs[2])));
        vm.assertEq(ledger.claimMany(_three(), _amounts(100, 200, 300), proofs), 300, "Carol is skipped");
        vm.assertTrue(_token.callSucceeded(), "she claimed inside");
        vm.assertEq(_token.balanceOf(alice), 100, "Alice");
        vm.assertEq(_token.balanceOf(bob), 200, "Bob");
        vm.assertEq(_token.balanceOf(carol), 300, "Carol");
        vm.assertEq(_token.balanceOf(address(ledger)), 0, "exactly");
    }

    function test_a_batch_inside_a_batch_pays_everybody_once() public {
        (EpochHeader memory header, bytes32[] memory nodes) = _ready();
        ledger.activateEpoch(header);
        bytes32[][] memory proofs = new bytes32[][](3);
        for (uint256 i = 0; i < 3; ++i) {
            proofs[i] = Tree.proof(nodes, i);
        }
        bytes memory again = abi.encodeCall(RewardsLedger.claimMany, (_three(), _amounts(100, 200, 300), proofs));
        _token.callBack(address(ledger), again);
        ledger.claimMany(_three(), _amounts(100, 200, 300), proofs);
        vm.assertEq(_token.balanceOf(alice) + _token.balanceOf(bob) + _token.balanceOf(carol), 600, "once");
        vm.assertEq(_token.balanceOf(bob), 200, "Bob");
    }

    function test_an_epoch_cannot_be_activated_inside_its_activation() public {
        (EpochHeader memory header,) = _ready();
        _token.callBack(address(ledger), abi.encodeCall(RewardsLedger.activateEpoch, (header)));
        ledger.activateEpoch(header);
        vm.assertEq(_token.callbacks(), 1, "it called back");
        vm.assertTrue(!_token.callSucceeded(), "in vain");
        vm.assertEq(ledger.nextEpoch(), 1, "one epoch");
        vm.assertEq(_token.balanceOf(address(ledger)), 600, "one payout");
    }

    /// @dev The new root is live when the money is pulled; a claim made then spends the old epochs' money, and the
    /// pull is found short.
    function test_a_claim_made_inside_the_pull_stops_the_activation() public {
        (EpochHeader memory header, bytes32[] memory nodes) = _ready();
        ledger.activateEpoch(header);
        bytes32[] memory next = _tree(_three(), _amounts(150, 200, 300));
        header = _header(next[0], 50, 0, 0);
        _propose(header);
        vm.warp(block.timestamp + WINDOW);
        _token.callBack(address(ledger), abi.encodeCall(RewardsLedger.claim, (alice, 150, Tree.proof(next, 0))));
        uint256 total = 50 + uint256(header.reserve);
        vm.expectRevert(
            abi.encodeWithSelector(RewardsLedger.TransferShort.selector, address(ledger), total, total - 150)
        );
        ledger.activateEpoch(header);
        vm.assertEq(ledger.claimed(alice), 0, "undone");
        vm.assertEq(ledger.claimRoot(), nodes[0], "the old root");
    }

    function test_a_certificate_counts_once_for_a_reentrant_token_too() public {
        (EpochHeader memory header,) = _ready();
        ledger.activateEpoch(header);
        manager.grantRole(RETIRER, address(_token), 0);
        _token.callBack(address(vault), abi.encodeCall(CarbonVault.retire, (1, 1e14, bob, keccak256("c"), "")));
        vm.prank(retirer);
        vault.retire(2, 1e15, bob, keccak256("c"), "");
        vm.assertEq(_token.callbacks(), 1, "it called back");
        vm.assertTrue(!_token.callSucceeded(), "in vain");
        vm.assertEq(vault.retired(), 2e6, "once");
    }
}
