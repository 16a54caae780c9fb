// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {AthToken} from "../src/AthToken.sol";
import {CarbonVault} from "../src/CarbonVault.sol";
import {EpochHeader} from "../src/EpochHeader.sol";
import {Policy} from "../src/Policy.sol";
import {PolicyRegistry} from "../src/PolicyRegistry.sol";
import {RewardsLedger} from "../src/RewardsLedger.sol";
import {TestBase, Tree} from "./TestBase.sol";

/// @dev The whole system as README deploys it, a day before GENESIS, with roles without delays.
abstract contract LedgerTest is TestBase {
    uint64 internal constant GENESIS = 1_749_999_600;
    uint64 internal constant LENGTH = 1 days;
    uint64 internal constant WINDOW = 6 hours;
    uint256 internal constant BUDGET = 2_874_743e18;
    uint64 internal constant FOREVER = type(uint64).max;

    uint64 internal constant PUBLISHER = 1;
    uint64 internal constant GUARDIAN = 2;
    uint64 internal constant GOVERNOR = 3;
    uint64 internal constant RETIRER = 4;

    address internal publisher = _named("publisher");
    address internal guardian = _named("guardian");
    address internal governor = _named("governor");
    address internal retirer = _named("retirer");
    address internal treasury = _named("treasury");
    address internal reserve = _named("reserve");
    address internal stranger = _named("stranger");
    address internal alice = _named("alice");
    address internal bob = _named("bob");
    address internal carol = _named("carol");

    AccessManager internal manager;
    address internal token;
    PolicyRegistry internal registry;
    RewardsLedger internal ledger;
    CarbonVault internal vault;

    function setUp() public virtual {
        vm.warp(GENESIS - 1 days);
        _deploy(address(new AthToken(treasury)));
        registry.schedule(_policy(), 0);
        _grantRoles();
        vm.prank(treasury);
        AthToken(token).approve(address(ledger), type(uint256).max);
    }

    function _deploy(address token_) internal {
        token = token_;
        manager = new AccessManager(address(this));
        registry = new PolicyRegistry(address(manager), GENESIS, LENGTH);
        ledger = new RewardsLedger(address(manager), token_, registry, treasury, reserve, WINDOW);
        vault = ledger.VAULT();
    }

    function _grantRoles() internal {
        _allow(address(ledger), PUBLISHER, RewardsLedger.proposeEpoch.selector);
        _allow(address(ledger), GUARDIAN, RewardsLedger.revokeEpoch.selector);
        _allow(address(ledger), GUARDIAN, RewardsLedger.pauseClaims.selector);
        _allow(address(ledger), GOVERNOR, RewardsLedger.reopenProposals.selector);
        _allow(address(ledger), GOVERNOR, RewardsLedger.resumeClaims.selector);
        _allow(address(ledger), GOVERNOR, RewardsLedger.supersedeRoot.selector);
        _allow(address(ledger), GOVERNOR, RewardsLedger.recoverForeign.selector);
        _allow(address(registry), GOVERNOR, PolicyRegistry.schedule.selector);
        _allow(address(registry), GOVERNOR, PolicyRegistry.setVerifier.selector);
        _allow(address(registry), GUARDIAN, PolicyRegistry.cancel.selector);
        _allow(address(vault), RETIRER, CarbonVault.retire.selector);
        _allow(address(vault), GOVERNOR, CarbonVault.recoverForeign.selector);
        manager.grantRole(PUBLISHER, publisher, 0);
        manager.grantRole(GUARDIAN, guardian, 0);
        manager.grantRole(GOVERNOR, governor, 0);
        manager.grantRole(RETIRER, retirer, 0);
    }

    function _allow(address target, uint64 role, bytes4 selector) internal {
        bytes4[] memory selectors = new bytes4[](1);
        selectors[0] = selector;
        manager.setTargetFunctionRole(target, selectors, role);
    }

    /// @dev The defaults of the rewards specification.
    function _policy() internal pure returns (Policy memory) {
        return Policy({
            epochBudgetWei: uint96(BUDGET),
            reserveBps: 1000,
            carbonCapBps: 500,
            carbonPriceWeiPerTonne: 800e18,
            uMinPpm: 900_000,
            uFullPpm: 990_000,
            kEffBps: 5000,
            sClampPpm: 400_000,
            pueRefE4: 15_400,
            gMatchBps: 2000,
            t2QualityBps: 2500,
            gGridBps: 500,
            refEfMgPerKwh: 475_000,
            maxMultPpm: 1_500_000,
            quorumQ: 3,
            quorumK: 5,
            countNuclear: false,
            tablesHash: keccak256("tables")
        });
    }

    function _epochEnd(uint256 epoch) internal pure returns (uint256) {
        return GENESIS + (epoch + 1) * LENGTH;
    }

    /// @dev A header the ledger accepts now: what is not paid out rolls over.
    function _header(bytes32 root, uint256 payout, uint256 carbon, uint256 residual)
        internal
        view
        returns (EpochHeader memory)
    {
        uint64 epoch = ledger.nextEpoch();
        Policy memory policy = registry.policyAt(epoch);
        uint256 budget = policy.epochBudgetWei;
        uint256 share = budget * policy.reserveBps / 10_000;
        return EpochHeader({
            epoch: epoch,
            claimRoot: root,
            ledgerHead: keccak256(abi.encode("head", epoch)),
            policyHash: keccak256(abi.encode(policy)),
            manifestHash: keccak256(abi.encode("manifest", epoch)),
            parentHash: ledger.lastHeaderHash(),
            payout: uint96(payout),
            carbon: uint96(carbon),
            reserve: uint96(share),
            rollover: uint96(budget + ledger.rollover() - payout - carbon - share),
            residualMicrograms: uint128(residual)
        });
    }

    function _hash(EpochHeader memory header) internal pure returns (bytes32) {
        return keccak256(abi.encode(header));
    }

    function _propose(EpochHeader memory header) internal {
        if (block.timestamp < _epochEnd(header.epoch)) vm.warp(_epochEnd(header.epoch));
        vm.prank(publisher);
        ledger.proposeEpoch(header);
    }

    function _activate(EpochHeader memory header) internal {
        _propose(header);
        vm.warp(block.timestamp + WINDOW);
        ledger.activateEpoch(header);
    }

    /// @dev An epoch that pays the leaves: (account i, cumulative i), of which `payout` is new.
    function _activatePaying(address[] memory accounts, uint256[] memory cumulatives, uint256 payout)
        internal
        returns (bytes32[] memory nodes)
    {
        nodes = _tree(accounts, cumulatives);
        _activate(_header(nodes[0], payout, 0, 0));
    }

    function _tree(address[] memory accounts, uint256[] memory cumulatives) internal pure returns (bytes32[] memory) {
        bytes32[] memory leaves = new bytes32[](accounts.length);
        for (uint256 i = 0; i < accounts.length; ++i) {
            leaves[i] = Tree.leaf(accounts[i], cumulatives[i]);
        }
        return Tree.build(leaves);
    }

    /// @dev Alice, Bob and Carol.
    function _three() internal view returns (address[] memory accounts) {
        accounts = new address[](3);
        accounts[0] = alice;
        accounts[1] = bob;
        accounts[2] = carol;
    }

    function _amounts(uint256 a, uint256 b, uint256 c) internal pure returns (uint256[] memory amounts) {
        amounts = new uint256[](3);
        amounts[0] = a;
        amounts[1] = b;
        amounts[2] = c;
    }

    function _balance(address account) internal view returns (uint256) {
        return AthToken(token).balanceOf(account);
    }
}
