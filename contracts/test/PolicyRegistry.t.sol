// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Policy, PolicyBounds} from "../src/Policy.sol";
import {PolicyRegistry, VerifierRole} from "../src/PolicyRegistry.sol";
import {LedgerTest} from "./LedgerTest.sol";

contract PolicyRegistryTest is LedgerTest {
    bytes32 private constant SCHEMA = keccak256("uptime");

    /// @dev One bounded parameter: its place in the struct and the table's line.
    struct Bounded {
        string name;
        uint256 word;
        uint256 min;
        uint256 max;
        uint256 step;
    }

    function _schedule(Policy memory policy, uint64 effectiveEpoch) private returns (uint64) {
        vm.prank(governor);
        return registry.schedule(policy, effectiveEpoch);
    }

    function _refused(Policy memory policy, uint64 effectiveEpoch, bytes memory reason) private {
        vm.expectRevert(reason);
        vm.prank(governor);
        registry.schedule(policy, effectiveEpoch);
    }

    function _with(uint256 word, uint256 value) private pure returns (Policy memory policy) {
        policy = _policy();
        // A struct of static members lies in memory a word each, in order.
        assembly ("memory-safe") {
            mstore(add(policy, mul(32, word)), value)
        }
    }

    function _at(Policy memory policy, uint256 word) private pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := mload(add(policy, mul(32, word)))
        }
    }

    function _table() private pure returns (Bounded[] memory rows) {
        rows = new Bounded[](14);
        rows[0] = Bounded("reserveBps", 1, 0, 3000, 100);
        rows[1] = Bounded("carbonCapBps", 2, 0, 2000, 100);
        rows[2] = Bounded("carbonPriceWeiPerTonne", 3, 1e18, 1e23, 160e18);
        rows[3] = Bounded("uMinPpm", 4, 500_000, 980_000, 10_000);
        rows[4] = Bounded("uFullPpm", 5, 910_000, 1_000_000, 10_000);
        rows[5] = Bounded("kEffBps", 6, 0, 10_000, 500);
        rows[6] = Bounded("sClampPpm", 7, 0, 500_000, 50_000);
        rows[7] = Bounded("pueRefE4", 8, 10_500, 20_000, 200);
        rows[8] = Bounded("gMatchBps", 9, 0, 5000, 250);
        rows[9] = Bounded("t2QualityBps", 10, 0, 5000, 500);
        rows[10] = Bounded("gGridBps", 11, 0, 1500, 100);
        rows[11] = Bounded("refEfMgPerKwh", 12, 100_000, 1_000_000, 25_000);
        rows[12] = Bounded("maxMultPpm", 13, 1_000_000, 2_000_000, 50_000);
        rows[13] = Bounded("quorumK", 15, 3, 21, type(uint256).max);
    }

    /* DEPLOYMENT */

    function test_genesis_and_length_are_whole_hours_within_a_week() public {
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.NotWholeHours.selector, GENESIS + 1));
        new PolicyRegistry(address(manager), GENESIS + 1, LENGTH);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.NotWholeHours.selector, 3601));
        new PolicyRegistry(address(manager), GENESIS, 3601);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.EpochLengthOutOfBounds.selector, 0, 168 hours));
        new PolicyRegistry(address(manager), GENESIS, 0);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.EpochLengthOutOfBounds.selector, 169 hours, 168 hours));
        new PolicyRegistry(address(manager), GENESIS, 169 hours);
        new PolicyRegistry(address(manager), GENESIS, 168 hours);
        new PolicyRegistry(address(manager), GENESIS, 1 hours);
    }

    function test_deployment_is_before_genesis() public {
        vm.warp(GENESIS);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.GenesisPassed.selector, GENESIS, GENESIS));
        new PolicyRegistry(address(manager), GENESIS, LENGTH);
        vm.warp(GENESIS - 1);
        new PolicyRegistry(address(manager), GENESIS, LENGTH);
    }

    function test_the_calendar_counts_from_genesis() public {
        vm.warp(GENESIS - 1);
        vm.assertEq(registry.currentEpoch(), 0, "before genesis");
        vm.warp(GENESIS + LENGTH - 1);
        vm.assertEq(registry.currentEpoch(), 0, "last second of epoch 0");
        vm.warp(GENESIS + LENGTH);
        vm.assertEq(registry.currentEpoch(), 1, "first second of epoch 1");
        vm.assertEq(registry.epochStart(7), GENESIS + 7 * LENGTH, "start of epoch 7");
    }

    /* SCHEDULING */

    function test_the_first_policy_governs_every_epoch_until_another_does() public view {
        bytes32 hash = keccak256(abi.encode(_policy()));
        vm.assertEq(registry.policyHashAt(0), hash, "epoch 0");
        vm.assertEq(registry.policyHashAt(FOREVER), hash, "for ever");
        vm.assertEq(keccak256(abi.encode(registry.policyAt(3))), hash, "the policy itself");
        (uint64 version, uint64 effectiveEpoch) = registry.policyVersionAt(3);
        vm.assertEq(version, 1, "version");
        vm.assertEq(effectiveEpoch, 0, "effective epoch");
    }

    function test_the_first_policy_is_for_epoch_zero_and_before_genesis() public {
        PolicyRegistry fresh = new PolicyRegistry(address(manager), GENESIS, LENGTH);
        vm.expectRevert(
            abi.encodeWithSelector(PolicyRegistry.FirstPolicyMustBeAtGenesis.selector, 2, GENESIS, block.timestamp)
        );
        fresh.schedule(_policy(), 2);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.NoPolicy.selector, 0));
        fresh.policyHashAt(0);
        vm.warp(GENESIS);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.FirstPolicyMustBeAtGenesis.selector, 0, GENESIS, GENESIS));
        fresh.schedule(_policy(), 0);
        vm.warp(GENESIS - 1);
        fresh.schedule(_policy(), 0);
    }

    function test_a_scheduled_policy_is_emitted_whole() public {
        Policy memory next = _policy();
        next.kEffBps = 5500;
        next.countNuclear = true;
        vm.expectEmit(address(registry));
        emit PolicyRegistry.PolicyScheduled(2, 2, keccak256(abi.encode(next)), next);
        vm.assertEq(_schedule(next, 2), 2, "version");
        vm.assertEq(registry.lastVersion(), 2, "last version");
        vm.assertEq(registry.policyHashAt(1), keccak256(abi.encode(_policy())), "before");
        vm.assertEq(registry.policyHashAt(2), keccak256(abi.encode(next)), "from then on");
    }

    function test_notice_is_two_epochs() public {
        _refused(_policy(), 1, abi.encodeWithSelector(PolicyRegistry.NoticeTooShort.selector, 1, 2));
        vm.warp(GENESIS + 5 * LENGTH);
        _refused(_policy(), 6, abi.encodeWithSelector(PolicyRegistry.NoticeTooShort.selector, 6, 7));
        _schedule(_policy(), 7);
    }

    function test_policies_are_scheduled_in_order() public {
        _schedule(_policy(), 10);
        _refused(_policy(), 10, abi.encodeWithSelector(PolicyRegistry.NotAfterLatest.selector, 10, 10));
        _refused(_policy(), 9, abi.encodeWithSelector(PolicyRegistry.NotAfterLatest.selector, 9, 10));
        _schedule(_policy(), 11);
        uint64[] memory epochs = registry.effectiveEpochs();
        vm.assertEq(epochs.length, 3, "three");
        vm.assertEq(epochs[0] + 100 * epochs[1] + 10_000 * epochs[2], 111_000, "0, 10, 11");
    }

    function test_every_parameter_stays_in_its_bounds() public {
        Bounded[] memory rows = _table();
        for (uint256 i = 0; i < rows.length; ++i) {
            Bounded memory row = rows[i];
            bytes memory tooHigh =
                abi.encodeWithSelector(PolicyBounds.OutOfBounds.selector, row.name, row.max + 1, row.min, row.max);
            _refused(_with(row.word, row.max + 1), 2, tooHigh);
            if (row.min == 0) continue;
            bytes memory tooLow =
                abi.encodeWithSelector(PolicyBounds.OutOfBounds.selector, row.name, row.min - 1, row.min, row.max);
            _refused(_with(row.word, row.min - 1), 2, tooLow);
        }
        _refused(_with(14, 1), 2, abi.encodeWithSelector(PolicyBounds.OutOfBounds.selector, "quorumQ", 1, 2, 15));
        _refused(_with(14, 16), 2, abi.encodeWithSelector(PolicyBounds.OutOfBounds.selector, "quorumQ", 16, 2, 15));
    }

    function test_every_bound_itself_is_allowed() public {
        Bounded[] memory rows = _table();
        for (uint256 i = 0; i < 13; ++i) {
            for (uint256 side = 0; side < 2; ++side) {
                Policy memory policy = _with(rows[i].word, side == 0 ? rows[i].min : rows[i].max);
                // Keep the ramp's ends apart when one of them is at its bound.
                if (rows[i].word == 4) policy.uFullPpm = policy.uMinPpm + 10_000;
                PolicyRegistry fresh = new PolicyRegistry(address(manager), GENESIS, LENGTH);
                fresh.schedule(policy, 0);
            }
        }
    }

    function test_a_quorum_is_a_majority() public {
        uint8[2][4] memory good = [[2, 3], [3, 5], [15, 21], [3, 3]];
        for (uint256 i = 0; i < good.length; ++i) {
            Policy memory policy = _policy();
            (policy.quorumQ, policy.quorumK) = (good[i][0], good[i][1]);
            _schedule(policy, uint64(2 + i));
        }
        uint8[2][4] memory bad = [[2, 4], [3, 6], [10, 21], [4, 3]];
        for (uint256 i = 0; i < bad.length; ++i) {
            Policy memory policy = _policy();
            (policy.quorumQ, policy.quorumK) = (bad[i][0], bad[i][1]);
            _refused(policy, 20, abi.encodeWithSelector(PolicyBounds.NoMajority.selector, bad[i][0], bad[i][1]));
        }
    }

    function test_every_parameter_moves_by_its_step_at_most() public {
        Bounded[] memory rows = _table();
        for (uint256 i = 0; i < 13; ++i) {
            Bounded memory row = rows[i];
            uint256 old = _at(_policy(), row.word);
            for (uint256 up = 0; up < 2; ++up) {
                uint256 reached = up == 1 ? old + row.step : old - row.step;
                uint256 beyond = up == 1 ? reached + 1 : reached - 1;
                // The ramp's full end has only 10,000 to its bound, and the start runs into it: both are other rules.
                if (beyond <= row.max && beyond >= row.min && !(row.word == 4 && up == 1)) {
                    _refused(
                        _with(row.word, beyond),
                        2,
                        abi.encodeWithSelector(PolicyBounds.StepTooLarge.selector, row.name, old, beyond, row.step)
                    );
                }
                _schedule(_with(row.word, reached), 2);
                vm.prank(guardian);
                registry.cancel(2);
            }
        }
    }

    function test_the_budget_only_falls_and_by_a_tenth_at_most() public {
        Policy memory next = _policy();
        next.epochBudgetWei = uint96(BUDGET + 1);
        _refused(next, 2, abi.encodeWithSelector(PolicyBounds.BudgetRises.selector, BUDGET, BUDGET + 1));
        next.epochBudgetWei = uint96(BUDGET - BUDGET / 10 - 1);
        _refused(
            next,
            2,
            abi.encodeWithSelector(
                PolicyBounds.StepTooLarge.selector, "epochBudgetWei", BUDGET, BUDGET - BUDGET / 10 - 1, BUDGET / 10
            )
        );
        next.epochBudgetWei = uint96(BUDGET - BUDGET / 10);
        _schedule(next, 2);
        next.epochBudgetWei = uint96(BUDGET);
        _refused(next, 3, abi.encodeWithSelector(PolicyBounds.BudgetRises.selector, BUDGET - BUDGET / 10, BUDGET));
    }

    function test_a_percentage_step_is_not_rounded_up() public {
        Policy memory odd = _policy();
        odd.epochBudgetWei = 19;
        PolicyRegistry fresh = new PolicyRegistry(address(manager), GENESIS, LENGTH);
        fresh.schedule(odd, 0);
        odd.epochBudgetWei = 17;
        vm.expectRevert(abi.encodeWithSelector(PolicyBounds.StepTooLarge.selector, "epochBudgetWei", 19, 17, 1));
        fresh.schedule(odd, 2);
        odd.epochBudgetWei = 18;
        fresh.schedule(odd, 2);
    }

    function test_steps_are_measured_against_the_latest_scheduled() public {
        Policy memory next = _policy();
        next.reserveBps = 1100;
        _schedule(next, 5);
        next.reserveBps = 1200;
        _schedule(next, 6);
        next.reserveBps = 1000;
        _refused(next, 7, abi.encodeWithSelector(PolicyBounds.StepTooLarge.selector, "reserveBps", 1200, 1000, 100));
    }

    /* CANCELLING */

    function test_cancelling_takes_all_later_policies_with_it() public {
        Policy[3] memory next = [_policy(), _policy(), _policy()];
        for (uint256 i = 0; i < 3; ++i) {
            next[i].kEffBps = uint16(5000 + 100 * i);
            _schedule(next[i], uint64(4 + i));
        }
        vm.expectEmit(address(registry));
        emit PolicyRegistry.PolicyCancelled(4, 6, keccak256(abi.encode(next[2])));
        vm.expectEmit(address(registry));
        emit PolicyRegistry.PolicyCancelled(3, 5, keccak256(abi.encode(next[1])));
        vm.prank(guardian);
        registry.cancel(5);
        vm.assertEq(registry.policyHashAt(9), keccak256(abi.encode(next[0])), "the one before goes on");
        vm.assertEq(registry.effectiveEpochs().length, 2, "two left");
        vm.assertEq(_schedule(next[1], 5), 5, "a version number is never used twice");
    }

    function test_only_what_is_scheduled_can_be_cancelled() public {
        _schedule(_policy(), 4);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.NotScheduled.selector, 3));
        vm.prank(guardian);
        registry.cancel(3);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.NotScheduled.selector, 5));
        vm.prank(guardian);
        registry.cancel(5);
        vm.assertEq(registry.effectiveEpochs().length, 2, "nothing was cancelled");
    }

    function test_the_first_policy_stands() public {
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.FirstPolicyStands.selector));
        vm.prank(guardian);
        registry.cancel(0);
        vm.warp(GENESIS);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.AlreadyEffective.selector, 0, GENESIS, GENESIS));
        vm.prank(guardian);
        registry.cancel(0);
    }

    function test_an_effective_policy_is_immutable() public {
        _schedule(_policy(), 4);
        uint256 start = GENESIS + 4 * LENGTH;
        vm.warp(start);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.AlreadyEffective.selector, 4, start, start));
        vm.prank(guardian);
        registry.cancel(4);
        vm.warp(start - 1);
        vm.prank(guardian);
        registry.cancel(4);
    }

    function testFuzz_the_policy_of_an_epoch_is_the_latest_not_after_it(uint256 seed, uint64 epoch) public {
        uint64[] memory epochs = new uint64[](8);
        bytes32[] memory hashes = new bytes32[](8);
        hashes[0] = registry.policyHashAt(0);
        uint64 latest;
        for (uint256 i = 1; i < 8; ++i) {
            latest += 2 + uint64(uint256(keccak256(abi.encode(seed, i))) % 5);
            Policy memory next = _policy();
            next.tablesHash = keccak256(abi.encode(i));
            epochs[i] = latest;
            hashes[i] = keccak256(abi.encode(next));
            _schedule(next, latest);
        }
        epoch = uint64(_bound(epoch, 0, latest + 3));
        uint256 expected;
        while (expected < 7 && epochs[expected + 1] <= epoch) ++expected;
        vm.assertEq(registry.policyHashAt(epoch), hashes[expected], "hash");
        (uint64 version,) = registry.policyVersionAt(epoch);
        vm.assertEq(version, expected + 1, "version");
        (bytes32 hash, uint256 budget, uint256 reserveBps, uint256 cap) = registry.allocationTermsAt(epoch);
        vm.assertEq(hash, hashes[expected], "terms: hash");
        vm.assertEq(budget, BUDGET, "terms: budget");
        vm.assertEq(reserveBps, 1000, "terms: reserve");
        vm.assertEq(cap, 500, "terms: cap");
        vm.assertEq(registry.carbonPriceAt(epoch), 800e18, "price");
    }

    /* VERIFIERS */

    function _set(address verifier, address affiliation, uint64 fromEpoch, uint64 untilEpoch) private {
        vm.prank(governor);
        registry.setVerifier(SCHEMA, verifier, affiliation, new bytes32[](0), fromEpoch, untilEpoch);
    }

    function _holds(address verifier, uint64 epoch) private view returns (bool holds) {
        (holds,) = registry.verifierAt(SCHEMA, verifier, epoch);
    }

    function test_a_role_is_emitted_whole_and_readable() public {
        bytes32[] memory registries = new bytes32[](2);
        (registries[0], registries[1]) = (keccak256("a"), keccak256("b"));
        vm.expectEmit(address(registry));
        emit PolicyRegistry.VerifierSet(SCHEMA, alice, bob, registries, 0, 9);
        vm.prank(governor);
        registry.setVerifier(SCHEMA, alice, bob, registries, 0, 9);
        (bool holds, VerifierRole memory role) = registry.verifierAt(SCHEMA, alice, 9);
        vm.assertTrue(holds, "last epoch");
        vm.assertEq(role.affiliation, bob, "affiliation");
        vm.assertEq(role.registryIds[1], keccak256("b"), "registry ids");
        vm.assertTrue(!_holds(alice, 10), "after the last");
        (holds,) = registry.verifierAt(keccak256("energy"), alice, 5);
        vm.assertTrue(!holds, "another schema");
        vm.assertEq(registry.verifierRoles(SCHEMA, alice).length, 1, "one entry");
    }

    function test_the_entry_with_the_greatest_first_epoch_counts_and_the_later_call_on_a_tie() public {
        _set(alice, bob, 5, FOREVER);
        _set(alice, carol, 2, FOREVER);
        vm.assertTrue(!_holds(alice, 1), "before the first");
        (, VerifierRole memory role) = registry.verifierAt(SCHEMA, alice, 4);
        vm.assertEq(role.affiliation, carol, "epoch 4");
        (, role) = registry.verifierAt(SCHEMA, alice, 5);
        vm.assertEq(role.affiliation, bob, "epoch 5");
        _set(alice, stranger, 5, FOREVER);
        (, role) = registry.verifierAt(SCHEMA, alice, 6);
        vm.assertEq(role.affiliation, stranger, "the later call");
    }

    function test_an_entry_that_ends_before_it_starts_ends_the_role() public {
        _set(alice, bob, 0, FOREVER);
        _set(alice, bob, 3, 2);
        vm.assertTrue(_holds(alice, 2), "until then");
        vm.assertTrue(!_holds(alice, 3), "from then on");
    }

    function test_a_replaced_entry_does_not_come_back() public {
        _set(alice, bob, 0, FOREVER);
        _set(alice, bob, 3, 5);
        vm.assertTrue(!_holds(alice, 6), "the older entry does not show through");
    }

    function test_roles_change_from_the_next_epoch_at_the_earliest() public {
        _set(alice, bob, 0, FOREVER);
        vm.warp(GENESIS);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.VerifierChangeTooEarly.selector, 0, 1));
        _set(alice, bob, 0, 0);
        vm.warp(GENESIS + 3 * LENGTH - 1);
        _set(alice, bob, 3, FOREVER);
        vm.warp(GENESIS + 3 * LENGTH);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.VerifierChangeTooEarly.selector, 3, 4));
        _set(alice, bob, 3, FOREVER);
    }

    function test_nobody_is_no_verifier() public {
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.VerifierIsZero.selector));
        _set(address(0), bob, 0, FOREVER);
    }
}
