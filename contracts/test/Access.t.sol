// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {IAccessManager} from "@openzeppelin/contracts/access/manager/IAccessManager.sol";
import {AthToken} from "../src/AthToken.sol";
import {CarbonVault} from "../src/CarbonVault.sol";
import {EpochHeader} from "../src/EpochHeader.sol";
import {Policy} from "../src/Policy.sol";
import {PolicyRegistry} from "../src/PolicyRegistry.sol";
import {RewardsLedger} from "../src/RewardsLedger.sol";
import {LedgerTest} from "./LedgerTest.sol";

/// @dev Who may call what; the same table as roles.json, from which deployments are made.
contract AccessTest is LedgerTest {
    struct Restricted {
        address target;
        string name;
        bytes data;
        uint64 role;
    }

    function _restricted() private view returns (Restricted[] memory calls) {
        EpochHeader memory header;
        calls = new Restricted[](12);
        calls[0] = Restricted(
            address(ledger),
            "RewardsLedger.proposeEpoch",
            abi.encodeCall(RewardsLedger.proposeEpoch, (header)),
            PUBLISHER
        );
        calls[1] = Restricted(
            address(ledger), "RewardsLedger.revokeEpoch", abi.encodeCall(RewardsLedger.revokeEpoch, (header)), GUARDIAN
        );
        calls[2] = Restricted(
            address(ledger), "RewardsLedger.pauseClaims", abi.encodeCall(RewardsLedger.pauseClaims, ()), GUARDIAN
        );
        calls[3] = Restricted(
            address(ledger),
            "RewardsLedger.reopenProposals",
            abi.encodeCall(RewardsLedger.reopenProposals, ()),
            GOVERNOR
        );
        calls[4] = Restricted(
            address(ledger), "RewardsLedger.resumeClaims", abi.encodeCall(RewardsLedger.resumeClaims, ()), GOVERNOR
        );
        calls[5] = Restricted(
            address(ledger),
            "RewardsLedger.supersedeRoot",
            abi.encodeCall(RewardsLedger.supersedeRoot, (header)),
            GOVERNOR
        );
        calls[6] = Restricted(
            address(ledger),
            "RewardsLedger.recoverForeign",
            abi.encodeCall(RewardsLedger.recoverForeign, (token, alice, 1)),
            GOVERNOR
        );
        calls[7] = Restricted(
            address(registry),
            "PolicyRegistry.schedule",
            abi.encodeCall(PolicyRegistry.schedule, (_policy(), 1)),
            GOVERNOR
        );
        calls[8] = Restricted(
            address(registry),
            "PolicyRegistry.setVerifier",
            abi.encodeCall(PolicyRegistry.setVerifier, (0, address(0), bob, new bytes32[](0), 0, 0)),
            GOVERNOR
        );
        calls[9] = Restricted(
            address(registry), "PolicyRegistry.cancel", abi.encodeCall(PolicyRegistry.cancel, (9)), GUARDIAN
        );
        calls[10] = Restricted(
            address(vault), "CarbonVault.retire", abi.encodeCall(CarbonVault.retire, (0, 0, alice, 0, "")), RETIRER
        );
        calls[11] = Restricted(
            address(vault),
            "CarbonVault.recoverForeign",
            abi.encodeCall(CarbonVault.recoverForeign, (token, alice, 1)),
            GOVERNOR
        );
    }

    /// @dev Every one is refused to everybody but its role's holder; the holder is refused for another reason, since
    /// the arguments are senseless (or not at all).
    function test_every_restricted_function_knows_its_caller() public {
        Restricted[] memory calls = _restricted();
        address[8] memory callers =
            [stranger, publisher, guardian, governor, retirer, treasury, reserve, address(vault)];
        uint64[8] memory roles = [uint64(0), PUBLISHER, GUARDIAN, GOVERNOR, RETIRER, 0, 0, 0];
        for (uint256 i = 0; i < calls.length; ++i) {
            for (uint256 j = 0; j < callers.length; ++j) {
                bytes memory refusal =
                    abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, callers[j]);
                vm.prank(callers[j]);
                (bool done, bytes memory answer) = calls[i].target.call(calls[i].data);
                bool unauthorized = !done && keccak256(answer) == keccak256(refusal);
                vm.assertEq(unauthorized, roles[j] != calls[i].role, calls[i].name);
            }
        }
    }

    function test_roles_json_says_the_same() public view {
        string memory json = vm.readFile("roles.json");
        Restricted[] memory calls = _restricted();
        string[5] memory names = ["ADMIN", "PUBLISHER", "GUARDIAN", "GOVERNOR", "RETIRER"];
        for (uint256 i = 0; i < names.length; ++i) {
            vm.assertEq(vm.parseJsonUint(json, string.concat(".roles.", names[i])), i, names[i]);
        }
        for (uint256 i = 0; i < calls.length; ++i) {
            string memory role = vm.parseJsonString(json, string.concat(".functions.", calls[i].name));
            vm.assertEq(role, names[calls[i].role], calls[i].name);
            vm.assertEq(
                manager.getTargetFunctionRole(calls[i].target, bytes4(calls[i].data)), calls[i].role, calls[i].name
            );
        }
    }

    function test_a_governor_with_a_delay_announces_and_the_guardian_can_stop_it() public {
        address slow = _named("slow governor");
        manager.grantRole(GOVERNOR, slow, 2 days);
        manager.setRoleGuardian(GOVERNOR, GUARDIAN);
        bytes memory data = abi.encodeCall(PolicyRegistry.schedule, (_policy(), 6));
        bytes32 operation = manager.hashOperation(slow, address(registry), data);

        vm.expectRevert(abi.encodeWithSelector(IAccessManager.AccessManagerNotScheduled.selector, operation));
        vm.prank(slow);
        registry.schedule(_policy(), 6);

        vm.prank(slow);
        manager.schedule(address(registry), data, 0);
        vm.warp(block.timestamp + 2 days - 1);
        vm.expectRevert(abi.encodeWithSelector(IAccessManager.AccessManagerNotReady.selector, operation));
        vm.prank(slow);
        registry.schedule(_policy(), 6);
        vm.warp(block.timestamp + 1);
        vm.prank(slow);
        manager.execute(address(registry), data);
        vm.assertEq(registry.lastVersion(), 2, "scheduled");

        data = abi.encodeCall(PolicyRegistry.schedule, (_policy(), 7));
        vm.prank(slow);
        manager.schedule(address(registry), data, 0);
        vm.prank(guardian);
        manager.cancel(slow, address(registry), data);
        vm.warp(block.timestamp + 2 days);
        vm.expectRevert(
            abi.encodeWithSelector(
                IAccessManager.AccessManagerNotScheduled.selector, manager.hashOperation(slow, address(registry), data)
            )
        );
        vm.prank(slow);
        manager.execute(address(registry), data);
    }

    /// @dev The order of contracts/README.md, ending with nobody who can act at once on roles or policy.
    function test_the_documented_deployment_ends_behind_its_delay() public {
        uint32 delay = 2 days;
        manager.setRoleGuardian(GOVERNOR, GUARDIAN);
        manager.grantRole(GOVERNOR, governor, delay);
        manager.grantRole(0, governor, delay);
        address[3] memory targets = [address(ledger), address(registry), address(vault)];
        for (uint256 i = 0; i < 3; ++i) {
            manager.setTargetAdminDelay(targets[i], delay);
        }
        manager.renounceRole(0, address(this));

        vm.expectRevert(
            abi.encodeWithSelector(IAccessManager.AccessManagerUnauthorizedAccount.selector, address(this), 0)
        );
        manager.grantRole(PUBLISHER, stranger, 0);
        (bool immediate, uint32 wait) = manager.canCall(governor, address(registry), PolicyRegistry.schedule.selector);
        vm.assertTrue(!immediate, "not at once");
        vm.assertEq(wait, delay, "after the delay");
        bytes memory grant = abi.encodeCall(manager.grantRole, (PUBLISHER, stranger, 0));
        bytes32 operation = manager.hashOperation(governor, address(manager), grant);
        vm.expectRevert(abi.encodeWithSelector(IAccessManager.AccessManagerNotScheduled.selector, operation));
        vm.prank(governor);
        manager.grantRole(PUBLISHER, stranger, 0);
    }

    function test_a_deployer_who_stays_governor_gets_the_delay_at_once() public {
        manager.grantRole(0, address(this), 2 days);
        bytes memory grant = abi.encodeCall(manager.grantRole, (PUBLISHER, stranger, 0));
        bytes32 operation = manager.hashOperation(address(this), address(manager), grant);
        vm.expectRevert(abi.encodeWithSelector(IAccessManager.AccessManagerNotScheduled.selector, operation));
        manager.grantRole(PUBLISHER, stranger, 0);
    }

    function test_before_roles_are_set_the_admin_alone_may_act() public {
        _deploy(token);
        registry.schedule(_policy(), 0);
        registry.setVerifier(keccak256("uptime"), alice, bob, new bytes32[](0), 0, FOREVER);
        vm.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, governor));
        vm.prank(governor);
        registry.schedule(_policy(), 2);
    }

    function test_the_token_is_minted_once_and_whole() public view {
        vm.assertEq(AthToken(token).totalSupply(), 42_000_000_000e18, "supply");
        vm.assertEq(AthToken(token).balanceOf(treasury), 42_000_000_000e18, "holder");
        vm.assertEq(AthToken(token).decimals(), 18, "decimals");
        vm.assertEq(AthToken(token).symbol(), "ATH", "symbol");
        vm.assertTrue(AthToken(token).CAP() < 2 ** 96, "fits an account's slot");
    }

    function test_the_token_takes_permits() public {
        uint256 key = 0xB0B;
        address owner = vm.addr(key);
        bytes32 content = keccak256(
            abi.encode(
                keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"),
                owner,
                address(ledger),
                77,
                0,
                block.timestamp
            )
        );
        bytes32 digest = keccak256(abi.encodePacked("\x19\x01", AthToken(token).DOMAIN_SEPARATOR(), content));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        AthToken(token).permit(owner, address(ledger), 77, block.timestamp, v, r, s);
        vm.assertEq(AthToken(token).allowance(owner, address(ledger)), 77, "allowance");
    }
}
