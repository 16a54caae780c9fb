// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Nonces} from "@openzeppelin/contracts/utils/Nonces.sol";
import {RewardsLedger} from "../src/RewardsLedger.sol";
import {LedgerTest} from "./LedgerTest.sol";
import {Tree} from "./TestBase.sol";

/// @dev A contract account that accepts one digest.
contract Wallet {
    bytes32 public accepted;

    function accept(bytes32 digest) external {
        accepted = digest;
    }

    function isValidSignature(bytes32 digest, bytes calldata) external view returns (bytes4) {
        return digest == accepted ? bytes4(0x1626ba7e) : bytes4(0xffffffff);
    }
}

contract PayeesTest is LedgerTest {
    uint256 private constant KEY = 0xA11CE;
    uint256 private constant N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
    address private _signer = vm.addr(KEY);

    function _digest(address account, address payee, uint256 nonce, uint256 deadline) private view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("ATH Ledger"),
                keccak256("1"),
                block.chainid,
                address(ledger)
            )
        );
        bytes32 content = keccak256(
            abi.encode(
                keccak256("SetPayee(address account,address payee,uint256 nonce,uint256 deadline)"),
                account,
                payee,
                nonce,
                deadline
            )
        );
        return keccak256(abi.encodePacked("\x19\x01", domain, content));
    }

    function _signed(address payee, uint256 nonce, uint256 deadline) private view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(KEY, _digest(_signer, payee, nonce, deadline));
        return abi.encodePacked(r, s, v);
    }

    function test_a_payee_receives_later_claims_only() public {
        bytes32[] memory nodes = _activatePaying(_three(), _amounts(100, 200, 300), 600);
        ledger.claim(alice, 100, Tree.proof(nodes, 0));
        vm.expectEmit(address(ledger));
        emit RewardsLedger.PayeeSet(alice, stranger);
        vm.prank(alice);
        ledger.setPayee(stranger);
        vm.assertEq(ledger.payeeOf(alice), stranger, "payee");
        vm.assertEq(ledger.claimed(alice), 100, "the claimed figure stands");
        nodes = _activatePaying(_three(), _amounts(150, 200, 300), 50);
        vm.expectEmit(address(ledger));
        emit RewardsLedger.Claimed(alice, stranger, 50, 150);
        ledger.claim(alice, 150, Tree.proof(nodes, 0));
        vm.assertEq(_balance(alice), 100, "before");
        vm.assertEq(_balance(stranger), 50, "after");
        vm.assertEq(ledger.payeeOf(alice), stranger, "a claim leaves the payee");
    }

    function test_a_payee_of_zero_or_oneself_undoes_it() public {
        vm.assertEq(ledger.payeeOf(alice), alice, "at first oneself");
        address[2] memory undo = [address(0), alice];
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(alice);
            ledger.setPayee(bob);
            vm.expectEmit(address(ledger));
            emit RewardsLedger.PayeeSet(alice, alice);
            vm.prank(alice);
            ledger.setPayee(undo[i]);
            vm.assertEq(ledger.payeeOf(alice), alice, "undone");
        }
    }

    function test_rewards_cannot_be_stranded_in_ledger_or_token() public {
        address[2] memory traps = [address(ledger), token];
        for (uint256 i = 0; i < 2; ++i) {
            vm.expectRevert(abi.encodeWithSelector(RewardsLedger.PayeeNotAllowed.selector, traps[i]));
            vm.prank(alice);
            ledger.setPayee(traps[i]);
        }
    }

    function testFuzz_payee_and_claimed_share_a_slot_and_do_not_touch(uint96 first, uint96 more, address payee) public {
        vm.assume(payee != address(ledger) && payee != token && payee != treasury && payee != reserve);
        vm.assume(payee != address(vault));
        first = uint96(_bound(first, 1, 1e24));
        more = uint96(_bound(more, 1, 1e24));
        vm.prank(alice);
        ledger.setPayee(payee);
        address paid = payee == address(0) ? alice : payee;
        bytes32[] memory nodes = _activatePaying(_three(), _amounts(first, 1, 1), first);
        ledger.claim(alice, first, Tree.proof(nodes, 0));
        nodes = _activatePaying(_three(), _amounts(uint256(first) + more, 1, 1), more);
        ledger.claim(alice, uint256(first) + more, Tree.proof(nodes, 0));
        vm.assertEq(ledger.claimed(alice), uint256(first) + more, "claimed");
        vm.assertEq(ledger.payeeOf(alice), paid, "payee");
        vm.assertEq(_balance(paid), uint256(first) + more, "balance");
        bytes32 slot = vm.load(address(ledger), keccak256(abi.encode(alice, 6)));
        address kept = payee == alice ? address(0) : payee;
        vm.assertEq(slot, bytes32(uint256(uint160(kept)) << 96 | (uint256(first) + more)), "slot as documented");
    }

    /* SIGNED */

    function test_a_signature_sets_the_payee_once() public {
        bytes memory signature = _signed(bob, 0, block.timestamp);
        vm.expectEmit(address(ledger));
        emit RewardsLedger.PayeeSet(_signer, bob);
        vm.prank(stranger);
        ledger.setPayeeBySig(_signer, bob, 0, block.timestamp, signature);
        vm.assertEq(ledger.payeeOf(_signer), bob, "payee");
        vm.assertEq(ledger.nonces(_signer), 1, "nonce");
        vm.expectRevert(abi.encodeWithSelector(Nonces.InvalidAccountNonce.selector, _signer, 1));
        ledger.setPayeeBySig(_signer, bob, 0, block.timestamp, signature);
    }

    function test_a_signature_expires() public {
        uint256 deadline = block.timestamp;
        bytes memory signature = _signed(bob, 0, deadline);
        vm.warp(deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.SignatureExpired.selector, deadline, deadline + 1));
        ledger.setPayeeBySig(_signer, bob, 0, deadline, signature);
    }

    function test_a_direct_change_cancels_signatures_in_flight() public {
        bytes memory signature = _signed(bob, 0, block.timestamp);
        vm.prank(_signer);
        ledger.setPayee(carol);
        vm.expectRevert(abi.encodeWithSelector(Nonces.InvalidAccountNonce.selector, _signer, 1));
        ledger.setPayeeBySig(_signer, bob, 0, block.timestamp, signature);
        vm.assertEq(ledger.payeeOf(_signer), carol, "the later word stands");
    }

    function test_a_signature_for_anything_else_is_refused() public {
        uint256 deadline = block.timestamp;
        bytes memory signature = _signed(bob, 0, deadline);
        bytes memory refusal = abi.encodeWithSelector(RewardsLedger.InvalidSignature.selector, _signer);
        vm.expectRevert(refusal);
        ledger.setPayeeBySig(_signer, carol, 0, deadline, signature);
        vm.expectRevert(refusal);
        ledger.setPayeeBySig(_signer, bob, 0, deadline + 1, signature);
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.InvalidSignature.selector, alice));
        ledger.setPayeeBySig(alice, bob, 0, deadline, signature);
        vm.expectRevert(refusal);
        ledger.setPayeeBySig(_signer, bob, 0, deadline, "");
        vm.assertEq(ledger.nonces(_signer), 0, "a refusal uses no nonce");
    }

    function test_a_signature_for_another_ledger_is_refused() public {
        bytes memory signature = _signed(bob, 0, block.timestamp);
        RewardsLedger other = new RewardsLedger(address(manager), token, registry, treasury, reserve, WINDOW);
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.InvalidSignature.selector, _signer));
        other.setPayeeBySig(_signer, bob, 0, block.timestamp, signature);
    }

    function test_a_signature_with_high_s_is_refused() public {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(KEY, _digest(_signer, bob, 0, block.timestamp));
        bytes memory twisted = abi.encodePacked(r, bytes32(N - uint256(s)), v == 27 ? uint8(28) : uint8(27));
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.InvalidSignature.selector, _signer));
        ledger.setPayeeBySig(_signer, bob, 0, block.timestamp, twisted);
    }

    function test_a_contract_account_signs_by_its_own_rule() public {
        Wallet wallet = new Wallet();
        uint256 deadline = block.timestamp;
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.InvalidSignature.selector, address(wallet)));
        ledger.setPayeeBySig(address(wallet), bob, 0, deadline, "any");
        wallet.accept(_digest(address(wallet), bob, 0, deadline));
        ledger.setPayeeBySig(address(wallet), bob, 0, deadline, "any");
        vm.assertEq(ledger.payeeOf(address(wallet)), bob, "payee");
    }

    function test_a_signature_cannot_strand_rewards_either() public {
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.PayeeNotAllowed.selector, address(ledger)));
        ledger.setPayeeBySig(_signer, address(ledger), 0, block.timestamp, _signed(address(ledger), 0, block.timestamp));
    }
}
