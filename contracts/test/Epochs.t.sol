// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EpochHeader} from "../src/EpochHeader.sol";
import {Policy} from "../src/Policy.sol";
import {PolicyRegistry} from "../src/PolicyRegistry.sol";
import {RewardsLedger} from "../src/RewardsLedger.sol";
import {AthToken} from "../src/AthToken.sol";
import {LedgerTest} from "./LedgerTest.sol";

/// @dev Deployment, proposing, revoking, activating.
contract EpochsTest is LedgerTest {
    bytes32 private constant ROOT = keccak256("root");

    function _refused(EpochHeader memory header, bytes memory reason) private {
        vm.expectRevert(reason);
        vm.prank(publisher);
        ledger.proposeEpoch(header);
    }

    /* DEPLOYMENT */

    function test_a_new_ledger_copies_the_calendar_and_has_no_epoch() public view {
        vm.assertEq(ledger.GENESIS(), GENESIS, "genesis");
        vm.assertEq(ledger.EPOCH_LENGTH(), LENGTH, "length");
        vm.assertEq(ledger.WINDOW(), WINDOW, "window");
        vm.assertEq(ledger.TOKEN(), token, "token");
        vm.assertEq(ledger.TREASURY(), treasury, "treasury");
        vm.assertEq(ledger.RESERVE(), reserve, "reserve");
        vm.assertEq(address(ledger.REGISTRY()), address(registry), "registry");
        vm.assertEq(address(vault.LEDGER()), address(ledger), "vault's ledger");
        vm.assertEq(address(vault.REGISTRY()), address(registry), "vault's registry");
        vm.assertEq(vault.TOKEN(), token, "vault's token");
        vm.assertEq(vault.authority(), address(manager), "vault's authority");
        vm.assertEq(ledger.nextEpoch(), 0, "next epoch");
        vm.assertEq(ledger.lastHeaderHash(), 0, "no header yet");
        vm.assertEq(ledger.claimRoot(), 0, "no root yet");
        vm.assertTrue(ledger.proposalsOpen(), "open");
        vm.assertTrue(!ledger.paused(), "not paused");
    }

    function test_deployment_refuses_missing_addresses() public {
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.AddressIsZero.selector, "token"));
        new RewardsLedger(address(manager), address(0), registry, treasury, reserve, WINDOW);
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.AddressIsZero.selector, "treasury"));
        new RewardsLedger(address(manager), token, registry, address(0), reserve, WINDOW);
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.AddressIsZero.selector, "reserve"));
        new RewardsLedger(address(manager), token, registry, treasury, address(0), WINDOW);
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.ReserveIsTreasury.selector, treasury));
        new RewardsLedger(address(manager), token, registry, treasury, treasury, WINDOW);
    }

    function test_deployment_refuses_a_window_of_zero_or_of_an_epoch() public {
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.WindowOutOfBounds.selector, 0, LENGTH));
        new RewardsLedger(address(manager), token, registry, treasury, reserve, 0);
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.WindowOutOfBounds.selector, LENGTH, LENGTH));
        new RewardsLedger(address(manager), token, registry, treasury, reserve, LENGTH);
        new RewardsLedger(address(manager), token, registry, treasury, reserve, LENGTH - 1);
    }

    /* PROPOSING */

    function test_a_proposal_is_emitted_whole_and_fixes_its_activation() public {
        EpochHeader memory header = _header(ROOT, 100e18, 5e18, 7e9);
        vm.warp(_epochEnd(0) + 17);
        vm.expectEmit(address(ledger));
        emit RewardsLedger.EpochProposed(0, _hash(header), header, uint64(block.timestamp) + WINDOW);
        vm.prank(publisher);
        ledger.proposeEpoch(header);

        (uint64 activatesAt, bytes32 headerHash) = ledger.pending();
        vm.assertEq(activatesAt, _epochEnd(0) + 17 + WINDOW, "activates at");
        vm.assertEq(headerHash, _hash(header), "pending hash");
        vm.assertEq(ledger.nextEpoch(), 0, "a proposal moves nothing");
        vm.assertEq(ledger.claimRoot(), 0, "a proposal opens no claims");
        vm.assertEq(ledger.lastHeaderHash(), 0, "a proposal is not the last header");
    }

    function test_an_epoch_cannot_be_proposed_before_its_last_second_is_over() public {
        EpochHeader memory header = _header(ROOT, 1, 0, 0);
        vm.warp(_epochEnd(0) - 1);
        _refused(header, abi.encodeWithSelector(RewardsLedger.EpochNotOver.selector, 0, _epochEnd(0), _epochEnd(0) - 1));
        vm.warp(_epochEnd(0));
        vm.prank(publisher);
        ledger.proposeEpoch(header);
    }

    function test_epochs_come_in_order() public {
        EpochHeader memory header = _header(ROOT, 1, 0, 0);
        vm.warp(_epochEnd(5));
        header.epoch = 1;
        _refused(header, abi.encodeWithSelector(RewardsLedger.WrongEpoch.selector, 0, 1));
        header.epoch = 0;
        _activate(header);
        header = _header(ROOT, 1, 0, 0);
        header.epoch = 0;
        _refused(header, abi.encodeWithSelector(RewardsLedger.WrongEpoch.selector, 1, 0));
        header.epoch = 2;
        _refused(header, abi.encodeWithSelector(RewardsLedger.WrongEpoch.selector, 1, 2));
    }

    function test_only_one_proposal_is_pending() public {
        EpochHeader memory header = _header(ROOT, 1, 0, 0);
        _propose(header);
        uint256 activatesAt = block.timestamp + WINDOW;
        EpochHeader memory other = _header(ROOT, 2, 0, 0);
        vm.warp(activatesAt + 1);
        _refused(other, abi.encodeWithSelector(RewardsLedger.EpochPending.selector, _hash(header), activatesAt));
        (uint64 still,) = ledger.pending();
        vm.assertEq(still, activatesAt, "the time stands");
    }

    function test_headers_form_a_chain() public {
        EpochHeader memory header = _header(ROOT, 1, 0, 0);
        vm.warp(_epochEnd(0));
        header.parentHash = bytes32(uint256(1));
        _refused(header, abi.encodeWithSelector(RewardsLedger.WrongParent.selector, 0, 1));
        header.parentHash = 0;
        bytes32 last;
        for (uint256 i = 0; i < 3; ++i) {
            header = _header(keccak256(abi.encode(i)), 1, 0, 0);
            vm.assertEq(header.parentHash, last, "parent");
            _activate(header);
            last = _hash(header);
            vm.assertEq(ledger.lastHeaderHash(), last, "last header");
        }
        header = _header(ROOT, 1, 0, 0);
        header.parentHash = 0;
        vm.warp(_epochEnd(3));
        _refused(header, abi.encodeWithSelector(RewardsLedger.WrongParent.selector, last, 0));
    }

    function test_the_policy_hash_is_the_registrys_for_that_epoch() public {
        EpochHeader memory header = _header(ROOT, 1, 0, 0);
        vm.warp(_epochEnd(0));
        bytes32 right = header.policyHash;
        header.policyHash = keccak256("other");
        _refused(header, abi.encodeWithSelector(RewardsLedger.WrongPolicy.selector, right, header.policyHash));
    }

    function test_the_terms_are_those_of_the_epoch_not_of_the_day_it_is_proposed() public {
        Policy memory later = _policy();
        later.reserveBps = 1100;
        vm.prank(governor);
        registry.schedule(later, 2);
        EpochHeader memory header = _header(ROOT, 1, 0, 0);
        vm.warp(_epochEnd(4));
        _activate(header);
        vm.assertEq(header.reserve, BUDGET / 10, "epoch 0 pays by policy 1");
        _activate(_header(ROOT, 1, 0, 0));
        header = _header(ROOT, 1, 0, 0);
        vm.assertEq(header.reserve, BUDGET * 1100 / 10_000, "epoch 2 pays by policy 2");
        _activate(header);
    }

    function test_the_reserve_is_exactly_its_share() public {
        EpochHeader memory header = _header(ROOT, 1, 0, 0);
        vm.warp(_epochEnd(0));
        uint96 right = header.reserve;
        header.reserve = right + 1;
        header.rollover -= 1;
        _refused(header, abi.encodeWithSelector(RewardsLedger.WrongReserve.selector, right, right + 1));
        header.reserve = right - 1;
        header.rollover += 2;
        _refused(header, abi.encodeWithSelector(RewardsLedger.WrongReserve.selector, right, right - 1));
    }

    function test_carbon_stays_under_its_cap() public {
        uint256 cap = BUDGET * 500 / 10_000;
        EpochHeader memory header = _header(ROOT, 1, cap + 1, 0);
        vm.warp(_epochEnd(0));
        _refused(header, abi.encodeWithSelector(RewardsLedger.CarbonAboveCap.selector, cap + 1, cap));
        _activate(_header(ROOT, 1, cap, 0));
    }

    function test_what_is_given_out_is_the_budget_and_what_rolled_over() public {
        EpochHeader memory header = _header(ROOT, 100, 0, 0);
        vm.warp(_epochEnd(0));
        header.payout += 1;
        _refused(header, abi.encodeWithSelector(RewardsLedger.WrongTotal.selector, BUDGET, BUDGET + 1));
        header.payout -= 2;
        _refused(header, abi.encodeWithSelector(RewardsLedger.WrongTotal.selector, BUDGET, BUDGET - 1));
        header.payout += 1;
        _activate(header);

        uint256 stored = BUDGET - BUDGET / 10 - 100;
        vm.assertEq(ledger.rollover(), stored, "rollover");
        header = _header(ROOT, BUDGET - BUDGET / 10 + stored, 0, 0);
        vm.assertEq(header.rollover, 0, "all paid out");
        header.rollover = 1;
        vm.warp(_epochEnd(1));
        uint256 expected = BUDGET + stored;
        _refused(header, abi.encodeWithSelector(RewardsLedger.WrongTotal.selector, expected, expected + 1));
        header.rollover = 0;
        _activate(header);
        vm.assertEq(ledger.rollover(), 0, "rollover used up");
    }

    function test_residual_carbon_has_a_bound_that_no_network_reaches() public {
        uint256 max = type(uint72).max;
        EpochHeader memory header = _header(ROOT, 1, 0, max + 1);
        vm.warp(_epochEnd(0));
        _refused(header, abi.encodeWithSelector(RewardsLedger.ResidualTooLarge.selector, max + 1, max));
        _activate(_header(ROOT, 1, 0, max));
        vm.assertEq(vault.owed(), max, "owed");
    }

    function test_a_payout_needs_a_root() public {
        EpochHeader memory header = _header(0, 1, 0, 0);
        vm.warp(_epochEnd(0));
        _refused(header, abi.encodeWithSelector(RewardsLedger.RootMissing.selector));
    }

    function test_an_epoch_without_payout_keeps_the_roots() public {
        EpochHeader memory header = _header(ROOT, 0, 0, 0);
        vm.warp(_epochEnd(0));
        _refused(header, abi.encodeWithSelector(RewardsLedger.RootWithoutPayout.selector, 0, ROOT));
        _activate(_header(0, 0, 0, 0));
        vm.assertEq(ledger.claimRoot(), 0, "still no root");

        _activate(_header(keccak256("first"), 1, 0, 0));
        _activate(_header(keccak256("second"), 1, 0, 0));
        header = _header(0, 0, 0, 0);
        vm.warp(_epochEnd(3));
        _refused(header, abi.encodeWithSelector(RewardsLedger.RootWithoutPayout.selector, keccak256("second"), 0));
        _activate(_header(keccak256("second"), 0, 0, 0));
        vm.assertEq(ledger.claimRoot(), keccak256("second"), "root");
        vm.assertEq(ledger.previousRoot(), keccak256("first"), "previous root");
    }

    function test_while_paused_the_current_root_is_the_saved_one() public {
        _activate(_header(keccak256("first"), 1, 0, 0));
        vm.prank(guardian);
        ledger.pauseClaims();
        EpochHeader memory header = _header(0, 0, 0, 0);
        vm.warp(_epochEnd(1));
        _refused(header, abi.encodeWithSelector(RewardsLedger.RootWithoutPayout.selector, keccak256("first"), 0));
        _propose(_header(keccak256("first"), 0, 0, 0));
    }

    /* REVOKING */

    function test_a_revoked_header_never_activates_and_proposals_close() public {
        EpochHeader memory header = _header(ROOT, 1, 0, 0);
        _propose(header);
        vm.expectEmit(address(ledger));
        emit RewardsLedger.EpochRevoked(0, _hash(header));
        vm.prank(guardian);
        ledger.revokeEpoch(header);

        (uint64 activatesAt, bytes32 headerHash) = ledger.pending();
        vm.assertEq(activatesAt, 0, "nothing pending");
        vm.assertEq(headerHash, 0, "no hash pending");
        vm.assertTrue(!ledger.proposalsOpen(), "closed");
        vm.warp(block.timestamp + WINDOW);
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.NothingPending.selector));
        ledger.activateEpoch(header);
        _refused(header, abi.encodeWithSelector(RewardsLedger.ProposalsAreClosed.selector));

        vm.expectEmit(address(ledger));
        emit RewardsLedger.ProposalsReopened();
        vm.prank(governor);
        ledger.reopenProposals();
        EpochHeader memory second = _header(ROOT, 2, 0, 0);
        _activate(second);
        vm.assertEq(ledger.lastHeaderHash(), _hash(second), "the second attempt counts");
    }

    function test_a_proposal_can_be_revoked_after_its_window_while_nobody_activated_it() public {
        EpochHeader memory header = _header(ROOT, 1, 0, 0);
        _propose(header);
        vm.warp(block.timestamp + WINDOW + 1);
        vm.prank(guardian);
        ledger.revokeEpoch(header);
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.NothingPending.selector));
        ledger.activateEpoch(header);
    }

    function test_only_the_pending_header_can_be_revoked() public {
        EpochHeader memory header = _header(ROOT, 1, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.NothingPending.selector));
        vm.prank(guardian);
        ledger.revokeEpoch(header);
        _propose(header);
        EpochHeader memory other = _header(ROOT, 2, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.WrongHeader.selector, _hash(header), _hash(other)));
        vm.prank(guardian);
        ledger.revokeEpoch(other);
    }

    function test_open_proposals_cannot_be_reopened() public {
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.ProposalsAreOpen.selector));
        vm.prank(governor);
        ledger.reopenProposals();
    }

    /* ACTIVATING */

    function test_activation_moves_every_share_and_tells_the_vault() public {
        EpochHeader memory header = _header(ROOT, 1000e18, 50e18, 123_456_789);
        _propose(header);
        vm.warp(block.timestamp + WINDOW);
        uint256 before = _balance(treasury);
        vm.expectEmit(address(ledger));
        emit RewardsLedger.EpochActivated(0, _hash(header));
        vm.prank(stranger);
        ledger.activateEpoch(header);

        vm.assertEq(_balance(address(ledger)), 1000e18, "ledger holds the payout");
        vm.assertEq(_balance(address(vault)), 50e18, "vault holds the carbon");
        vm.assertEq(_balance(reserve), BUDGET / 10, "reserve has its share");
        vm.assertEq(before - _balance(treasury), 1050e18 + BUDGET / 10, "the treasury paid no more");
        vm.assertEq(ledger.claimRoot(), ROOT, "root");
        vm.assertEq(ledger.nextEpoch(), 1, "next epoch");
        vm.assertEq(vault.owed(), 123_456_789, "owed");
        vm.assertEq(vault.received(), 50e18, "received");
    }

    function test_nothing_activates_before_its_time() public {
        EpochHeader memory header = _header(ROOT, 1, 0, 0);
        _propose(header);
        uint256 activatesAt = block.timestamp + WINDOW;
        vm.warp(activatesAt - 1);
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.WindowOpen.selector, activatesAt, activatesAt - 1));
        ledger.activateEpoch(header);
        vm.warp(activatesAt);
        ledger.activateEpoch(header);
    }

    function test_an_epoch_activates_once() public {
        EpochHeader memory header = _header(ROOT, 1, 0, 0);
        _activate(header);
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.NothingPending.selector));
        ledger.activateEpoch(header);
    }

    function test_only_the_proposed_header_activates(uint256 field) public {
        EpochHeader memory header = _header(ROOT, 1000, 50, 60);
        _propose(header);
        vm.warp(block.timestamp + WINDOW);
        bytes32 expected = _hash(header);
        field = field % 11;
        if (field == 0) header.epoch += 1;
        if (field == 1) header.claimRoot = bytes32(uint256(header.claimRoot) ^ 1);
        if (field == 2) header.ledgerHead = bytes32(uint256(header.ledgerHead) ^ 1);
        if (field == 3) header.policyHash = bytes32(uint256(header.policyHash) ^ 1);
        if (field == 4) header.manifestHash = bytes32(uint256(header.manifestHash) ^ 1);
        if (field == 5) header.parentHash = bytes32(uint256(header.parentHash) ^ 1);
        if (field == 6) header.payout += 1;
        if (field == 7) header.carbon += 1;
        if (field == 8) header.reserve += 1;
        if (field == 9) header.rollover += 1;
        if (field == 10) header.residualMicrograms += 1;
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.WrongHeader.selector, expected, _hash(header)));
        ledger.activateEpoch(header);
    }

    function test_bits_above_a_members_width_are_refused() public {
        EpochHeader memory header = _header(ROOT, 1000, 50, 60);
        vm.warp(_epochEnd(0));
        bytes memory data = abi.encodeCall(RewardsLedger.proposeEpoch, (header));
        // The highest byte of the word of `epoch`, then of `residualMicrograms`.
        data[4] = 0x01;
        vm.prank(publisher);
        (bool accepted,) = address(ledger).call(data);
        vm.assertTrue(!accepted, "epoch");
        data[4] = 0;
        data[4 + 10 * 32] = 0x01;
        vm.prank(publisher);
        (accepted,) = address(ledger).call(data);
        vm.assertTrue(!accepted, "residual");
    }

    function test_an_unfunded_epoch_cannot_activate_and_can_later() public {
        EpochHeader memory header = _header(ROOT, 1000, 50, 60);
        _propose(header);
        vm.warp(block.timestamp + WINDOW);
        uint256 total = 1050 + uint256(header.reserve);
        vm.prank(treasury);
        AthToken(token).approve(address(ledger), total - 1);
        vm.expectRevert(abi.encodeWithSelector(RewardsLedger.PullFailed.selector, treasury, total));
        ledger.activateEpoch(header);
        vm.assertEq(ledger.nextEpoch(), 0, "nothing happened");
        vm.prank(treasury);
        AthToken(token).approve(address(ledger), total);
        ledger.activateEpoch(header);
        vm.assertEq(AthToken(token).allowance(treasury, address(ledger)), 0, "exactly the total");
    }

    function test_an_epoch_without_money_activates() public {
        Policy memory none = _policy();
        none.epochBudgetWei = 0;
        _deploy(token);
        registry.schedule(none, 0);
        _grantRoles();
        _activate(_header(0, 0, 0, 0));
        vm.assertEq(_balance(treasury), AthToken(token).CAP(), "nothing moved");
        vm.assertEq(ledger.nextEpoch(), 1, "next epoch");
    }

    function testFuzz_every_wei_of_the_budget_has_a_place(uint96 payout, uint96 carbon, uint72 residual) public {
        uint256 share = BUDGET / 10;
        carbon = uint96(_bound(carbon, 0, BUDGET * 500 / 10_000));
        payout = uint96(_bound(payout, 1, BUDGET - share - carbon));
        _activate(_header(ROOT, payout, carbon, residual));
        uint256 pulled = AthToken(token).CAP() - _balance(treasury);
        vm.assertEq(pulled + ledger.rollover(), BUDGET, "budget");
        vm.assertEq(_balance(address(ledger)), payout, "payout");
        vm.assertEq(_balance(address(vault)), carbon, "carbon");
        vm.assertEq(_balance(reserve), share, "reserve");
    }
}
