// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AthToken} from "../src/AthToken.sol";
import {CarbonVault} from "../src/CarbonVault.sol";
import {EpochHeader} from "../src/EpochHeader.sol";
import {Policy} from "../src/Policy.sol";
import {LedgerTest} from "./LedgerTest.sol";

contract CarbonVaultTest is LedgerTest {
    uint256 private constant PRICE = 800e18;
    address private _supplier = _named("supplier");
    uint256 private _roots;

    function _epoch(uint256 carbon, uint256 residual) private {
        _activate(_header(keccak256(abi.encode(++_roots)), 1, carbon, residual));
    }

    function _retire(uint256 grams, uint256 payment, string memory certificate) private {
        vm.prank(retirer);
        vault.retire(grams, payment, _supplier, keccak256(bytes(certificate)), "ipfs://certificate");
    }

    function _refused(uint256 grams, uint256 payment, bytes32 certificate, address to, bytes memory reason) private {
        vm.expectRevert(reason);
        vm.prank(retirer);
        vault.retire(grams, payment, to, certificate, "");
    }

    function _check(uint64 epoch, uint256 received, uint256 owed, uint256 paidFor, uint256 retired) private view {
        CarbonVault.EpochCarbon memory carbon = vault.carbonOf(epoch);
        vm.assertEq(carbon.received, received, "received");
        vm.assertEq(carbon.owedMicrograms, owed, "owed");
        vm.assertEq(carbon.paidForMicrograms, paidFor, "paid for");
        vm.assertEq(carbon.retiredMicrograms, retired, "retired");
    }

    function test_an_epochs_carve_out_pays_for_its_residual() public {
        EpochHeader memory header = _header(keccak256("root"), 1, PRICE * 3, 3e12);
        _propose(header);
        vm.warp(block.timestamp + WINDOW);
        vm.expectEmit(address(vault));
        emit CarbonVault.CarbonReceived(0, PRICE * 3, 3e12, 3e12);
        ledger.activateEpoch(header);
        _check(0, PRICE * 3, 3e12, 3e12, 0);
        vm.assertEq(vault.received(), PRICE * 3, "received");
        vm.assertEq(vault.held(), PRICE * 3, "held");
        vm.assertEq(vault.owed(), 3e12, "owed");
        vm.assertEq(vault.paidFor(), 3e12, "paid for");
        _check(1, 0, 0, 0, 0);
    }

    function test_what_the_cap_leaves_unpaid_is_carried_and_paid_oldest_first() public {
        _epoch(PRICE, 3e12);
        _check(0, PRICE, 3e12, 1e12, 0);
        vm.assertEq(vault.owed() - vault.paidFor(), 2e12, "the liability carried out");
        _epoch(PRICE * 4, 4e12);
        _check(0, PRICE, 3e12, 3e12, 0);
        _check(1, PRICE * 4, 4e12, 2e12, 0);
        _epoch(0, 0);
        _check(2, 0, 0, 0, 0);
        vm.assertEq(vault.owedThrough(0), 3e12, "through 0");
        vm.assertEq(vault.owedThrough(1), 7e12, "through 1");
        vm.assertEq(vault.owedThrough(9), 7e12, "through what comes");
    }

    function test_rounding_up_pays_for_no_more_than_is_owed() public {
        // 1 µg costs ceil(800e18 / 1e12) = 800,000,000 wei; a wei less pays for none of it.
        _epoch(800_000_000, 1);
        _check(0, 800_000_000, 1, 1, 0);
        _epoch(799_999_999, 1);
        _check(1, 799_999_999, 1, 0, 0);
        _epoch(PRICE, 5);
        vm.assertEq(vault.paidFor(), 7, "all, and no more");
        vm.assertEq(vault.owed(), 7, "owed");
    }

    function test_the_price_is_the_epochs_own() public {
        Policy memory later = _policy();
        later.carbonPriceWeiPerTonne = 960e18;
        vm.prank(governor);
        registry.schedule(later, 2);
        vm.warp(_epochEnd(6));
        _epoch(PRICE, 5e12);
        vm.assertEq(vault.paidFor(), 1e12, "epoch 0 at 800");
        _epoch(0, 0);
        _epoch(960e18, 5e12);
        vm.assertEq(vault.paidFor(), 2e12, "epoch 2 at 960");
    }

    /// @dev carriedOut = max(0, owed − carbon · 10¹² // price) of the specification, replayed beside the contract.
    function testFuzz_the_unpaid_liability_is_the_formulas(uint256 seed) public {
        uint256 carried;
        for (uint256 i = 0; i < 5; ++i) {
            uint256 residual = uint256(keccak256(abi.encode(seed, "residual", i))) % 1e14;
            uint256 carbon = uint256(keccak256(abi.encode(seed, "carbon", i))) % (BUDGET * 500 / 10_000);
            _epoch(carbon, residual);
            uint256 owed = residual + carried;
            uint256 paid = carbon * 1e12 / PRICE;
            carried = owed > paid ? owed - paid : 0;
            vm.assertEq(vault.owed() - vault.paidFor(), carried, "carried out");
        }
        uint256 sum;
        for (uint64 i = 0; i < 5; ++i) {
            sum += vault.carbonOf(i).paidForMicrograms;
        }
        vm.assertEq(sum, vault.paidFor(), "epochs add up");
    }

    function test_only_the_ledger_tells_of_epochs() public {
        vm.expectRevert(abi.encodeWithSelector(CarbonVault.NotLedger.selector, governor));
        vm.prank(governor);
        vault.recordCarbon(0, 1, 1);
    }

    /* RETIREMENTS */

    function test_a_retirement_pays_and_is_recorded_against_the_oldest_epochs() public {
        _epoch(PRICE * 3, 3e12);
        _epoch(PRICE * 2, 2e12);
        vm.expectEmit(address(vault));
        emit CarbonVault.CarbonRetired(keccak256("one"), _supplier, 2_000_000, 1500e18, 0, 2e12, "ipfs://certificate");
        _retire(2_000_000, 1500e18, "one");
        _check(0, PRICE * 3, 3e12, 3e12, 2e12);
        _check(1, PRICE * 2, 2e12, 2e12, 0);
        vm.expectEmit(address(vault));
        emit CarbonVault.CarbonRetired(
            keccak256("two"), _supplier, 2_500_000, 900e18, 2e12, 4.5e12, "ipfs://certificate"
        );
        _retire(2_500_000, 900e18, "two");
        _check(0, PRICE * 3, 3e12, 3e12, 3e12);
        _check(1, PRICE * 2, 2e12, 2e12, 1.5e12);
        vm.assertEq(_balance(_supplier), 2400e18, "paid");
        vm.assertEq(vault.spent(), 2400e18, "spent");
        vm.assertEq(vault.held(), PRICE * 5 - 2400e18, "held");
        vm.assertEq(vault.retired(), 4.5e12, "retired");
        vm.assertEq(_balance(address(vault)), vault.held(), "balance");
    }

    function test_a_certificate_counts_once() public {
        _epoch(PRICE * 3, 3e12);
        _retire(1_000_000, 1, "one");
        vm.assertTrue(vault.certificateUsed(keccak256("one")), "used");
        _refused(
            1,
            0,
            keccak256("one"),
            _supplier,
            abi.encodeWithSelector(CarbonVault.CertificateAlreadyUsed.selector, keccak256("one"))
        );
    }

    function test_a_retirement_names_grams_certificate_and_supplier() public {
        _epoch(PRICE * 3, 3e12);
        bytes32 c = keccak256("one");
        _refused(0, 0, c, _supplier, abi.encodeWithSelector(CarbonVault.NothingToRetire.selector));
        _refused(1, 0, 0, _supplier, abi.encodeWithSelector(CarbonVault.CertificateMissing.selector));
        _refused(1, 0, c, address(0), abi.encodeWithSelector(CarbonVault.SupplierNotAllowed.selector, address(0)));
        _refused(1, 0, c, address(vault), abi.encodeWithSelector(CarbonVault.SupplierNotAllowed.selector, vault));
    }

    function test_a_payment_is_at_most_what_is_held() public {
        _epoch(PRICE, 1e12);
        _refused(
            1_000_000,
            PRICE + 1,
            keccak256("one"),
            _supplier,
            abi.encodeWithSelector(CarbonVault.PaymentAboveHeld.selector, PRICE + 1, PRICE)
        );
        // What somebody sends here is not held: it does not raise the limit.
        vm.prank(treasury);
        AthToken(token).transfer(address(vault), 1e18);
        _refused(
            1_000_000,
            PRICE + 1,
            keccak256("one"),
            _supplier,
            abi.encodeWithSelector(CarbonVault.PaymentAboveHeld.selector, PRICE + 1, PRICE)
        );
        _retire(1_000_000, PRICE, "one");
        vm.assertEq(vault.held(), 0, "all spent");
    }

    function test_a_payment_is_at_most_twice_the_governed_price_of_today() public {
        Policy memory later = _policy();
        later.carbonPriceWeiPerTonne = 640e18;
        vm.prank(governor);
        registry.schedule(later, 3);
        _epoch(PRICE * 10, 10e12);
        uint256 max = 2 * 3 * PRICE / 1e6;
        bytes32 c = keccak256("one");
        _refused(3, max + 1, c, _supplier, abi.encodeWithSelector(CarbonVault.PaymentAbovePrice.selector, max + 1, max));
        vm.warp(GENESIS + 3 * LENGTH);
        uint256 lower = 2 * 3 * 640e18 / uint256(1e6);
        _refused(3, max, c, _supplier, abi.encodeWithSelector(CarbonVault.PaymentAbovePrice.selector, max, lower));
        _retire(3, lower, "one");
    }

    function test_no_more_is_retired_than_was_paid_for() public {
        _epoch(PRICE, 3e12 + 999_999);
        bytes32 c = keccak256("one");
        _refused(
            1_000_001,
            0,
            c,
            _supplier,
            abi.encodeWithSelector(CarbonVault.RetiresMoreThanPaidFor.selector, 1_000_001, 1e12)
        );
        _refused(
            type(uint256).max,
            0,
            c,
            _supplier,
            abi.encodeWithSelector(CarbonVault.RetiresMoreThanPaidFor.selector, type(uint256).max, 1e12)
        );
        _retire(1_000_000, 0, "free of charge");
        vm.assertEq(_balance(_supplier), 0, "nothing paid");
        vm.assertEq(vault.retired(), 1e12, "retired");
    }

    function test_nothing_is_held_or_retired_before_the_first_epoch() public {
        vm.assertEq(vault.held() + vault.received() + vault.owed() + vault.paidFor() + vault.spent(), 0, "zeros");
        vm.assertEq(vault.owedThrough(0), 0, "through 0");
        _refused(
            1, 0, keccak256("one"), _supplier, abi.encodeWithSelector(CarbonVault.RetiresMoreThanPaidFor.selector, 1, 0)
        );
    }

    function test_foreign_tokens_can_be_recovered_and_the_carve_out_cannot() public {
        AthToken foreign = new AthToken(address(this));
        foreign.transfer(address(vault), 70);
        vm.expectEmit(address(vault));
        emit CarbonVault.ForeignTokenRecovered(address(foreign), bob, 70);
        vm.prank(governor);
        vault.recoverForeign(address(foreign), bob, 70);
        vm.assertEq(foreign.balanceOf(bob), 70, "recovered");
        vm.expectRevert(abi.encodeWithSelector(CarbonVault.NotForeign.selector, token));
        vm.prank(governor);
        vault.recoverForeign(token, bob, 1);
    }
}
