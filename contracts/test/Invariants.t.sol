// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AthToken} from "../src/AthToken.sol";
import {CarbonVault} from "../src/CarbonVault.sol";
import {EpochHeader} from "../src/EpochHeader.sol";
import {Policy} from "../src/Policy.sol";
import {PolicyRegistry} from "../src/PolicyRegistry.sol";
import {RewardsLedger} from "../src/RewardsLedger.sol";
import {LedgerTest} from "./LedgerTest.sol";
import {TestBase, Tree} from "./TestBase.sol";

/// @dev Drives the system through anything its actors may do, keeping its own books beside it. No action reverts: what
/// must be refused is tried through `_mustRefuse`, so a refusal that is missing is an error like any other.
contract Handler is TestBase {
    uint256 private constant ACCOUNTS = 6;

    RewardsLedger private immutable LEDGER;
    PolicyRegistry private immutable REGISTRY;
    CarbonVault private immutable VAULT;
    AthToken private immutable TOKEN;

    address private _publisher = _named("publisher");
    address private _guardian = _named("guardian");
    address private _governor = _named("governor");
    address private _retirer = _named("retirer");

    /* THE HANDLER'S OWN BOOKS */

    address[] public accounts;
    address[] public payees;
    mapping(address account => uint256) public awarded;
    mapping(address account => uint256) public claimed;
    mapping(address account => uint256) public highestLeaf;
    mapping(address account => address) public payeeOf;
    mapping(address payee => uint256) public paid;

    uint256 public payouts;
    uint256 public carbons;
    uint256 public reserves;
    uint256 public budgets;
    uint256 public claims;
    uint256 public owed;
    uint256 public unpaid;
    uint256 public spent;
    uint256 public retired;
    uint256 public nextEpoch;
    bytes32 public lastHeader;
    bytes32 public root;
    bytes32 public olderRoot;
    bool public open = true;
    bool public paused;

    EpochHeader private _pending;
    uint256 public activatesAt;
    /// @dev Cumulatives of the pending, the current and the previous tree.
    uint256[] private _proposed;
    uint256[] private _current;
    uint256[] private _previous;

    mapping(bytes32 action => uint256) public calls;

    constructor(RewardsLedger ledger, PolicyRegistry registry, CarbonVault vault, AthToken token) {
        (LEDGER, REGISTRY, VAULT, TOKEN) = (ledger, registry, vault, token);
        for (uint256 i = 0; i < ACCOUNTS; ++i) {
            accounts.push(address(uint160(uint256(keccak256(abi.encode("account", i))))));
            payeeOf[accounts[i]] = accounts[i];
            payees.push(accounts[i]);
        }
        payees.push(_named("fund"));
    }

    /* EPOCHS */

    function propose(uint256 seed) external {
        if (!open || activatesAt != 0) return;
        uint256 end = REGISTRY.epochStart(nextEpoch + 1);
        EpochHeader memory header = _draw(seed);
        if (block.timestamp < end) {
            _mustRefuse(_publisher, address(LEDGER), abi.encodeCall(RewardsLedger.proposeEpoch, (header)));
            vm.warp(end + seed % 1 hours);
        }
        _mustRefuse(_governor, address(LEDGER), abi.encodeCall(RewardsLedger.proposeEpoch, (header)));
        vm.prank(_publisher);
        LEDGER.proposeEpoch(header);
        _pending = header;
        activatesAt = block.timestamp + LEDGER.WINDOW();
        ++calls["propose"];
    }

    /// @dev An allocation that keeps every rule of the formula, with its tree; now and then one that pays nobody.
    function _draw(uint256 seed) private returns (EpochHeader memory header) {
        Policy memory policy = REGISTRY.policyAt(uint64(nextEpoch));
        uint256 pool = uint256(policy.epochBudgetWei) + LEDGER.rollover();
        uint256 share = uint256(policy.epochBudgetWei) * policy.reserveBps / 10_000;
        uint256 carbon = uint256(keccak256(abi.encode(seed, "carbon")))
            % (uint256(policy.epochBudgetWei) * policy.carbonCapBps / 10_000 + 1);
        pool -= share + carbon;
        delete _proposed;
        uint256 payout;
        bytes32[] memory leaves = new bytes32[](ACCOUNTS);
        for (uint256 i = 0; i < ACCOUNTS; ++i) {
            uint256 more = seed % 5 == 0 ? 0 : uint256(keccak256(abi.encode(seed, i))) % (pool / ACCOUNTS + 1);
            if (more % 3 == 0) more = 0;
            payout += more;
            _proposed.push(awarded[accounts[i]] + more);
            leaves[i] = Tree.leaf(accounts[i], _proposed[i]);
        }
        header = EpochHeader({
            epoch: uint64(nextEpoch),
            claimRoot: payout == 0 ? root : Tree.build(leaves)[0],
            ledgerHead: keccak256(abi.encode(seed, "head")),
            policyHash: keccak256(abi.encode(policy)),
            manifestHash: keccak256(abi.encode(seed, "manifest")),
            parentHash: lastHeader,
            payout: uint96(payout),
            carbon: uint96(carbon),
            reserve: uint96(share),
            rollover: uint96(pool - payout),
            residualMicrograms: uint128(uint256(keccak256(abi.encode(seed, "residual"))) % 1e14)
        });
    }

    function activate(uint256 seed) external {
        bytes memory data = abi.encodeCall(RewardsLedger.activateEpoch, (_pending));
        if (activatesAt == 0) return _mustRefuse(_publisher, address(LEDGER), data);
        if (block.timestamp < activatesAt) {
            _mustRefuse(_publisher, address(LEDGER), data);
            vm.warp(activatesAt + seed % 1 hours);
        }
        if (paused) return _mustRefuse(_publisher, address(LEDGER), data);
        LEDGER.activateEpoch(_pending);

        payouts += _pending.payout;
        carbons += _pending.carbon;
        reserves += _pending.reserve;
        Policy memory policy = REGISTRY.policyAt(_pending.epoch);
        budgets += policy.epochBudgetWei;
        owed += _pending.residualMicrograms;
        unpaid += _pending.residualMicrograms;
        uint256 paysFor = uint256(_pending.carbon) * 1e12 / policy.carbonPriceWeiPerTonne;
        unpaid -= paysFor < unpaid ? paysFor : unpaid;
        lastHeader = keccak256(abi.encode(_pending));
        ++nextEpoch;
        if (_pending.payout != 0) {
            (olderRoot, root) = (root, _pending.claimRoot);
            // Not as a tuple: that copies arrays one over the other.
            _previous = _current;
            _current = _proposed;
            _award(_proposed);
        }
        activatesAt = 0;
        _mustRefuse(_publisher, address(LEDGER), data);
        ++calls["activate"];
    }

    function _award(uint256[] storage cumulatives) private {
        for (uint256 i = 0; i < ACCOUNTS; ++i) {
            awarded[accounts[i]] = cumulatives[i];
            if (cumulatives[i] > highestLeaf[accounts[i]]) highestLeaf[accounts[i]] = cumulatives[i];
        }
    }

    function revoke(uint256 seed) external {
        if (seed % 4 != 0) return;
        bytes memory data = abi.encodeCall(RewardsLedger.revokeEpoch, (_pending));
        if (activatesAt == 0) return _mustRefuse(_guardian, address(LEDGER), data);
        vm.prank(_guardian);
        LEDGER.revokeEpoch(_pending);
        activatesAt = 0;
        open = false;
        _mustRefuse(_publisher, address(LEDGER), abi.encodeCall(RewardsLedger.activateEpoch, (_pending)));
        _mustRefuse(_publisher, address(LEDGER), abi.encodeCall(RewardsLedger.proposeEpoch, (_pending)));
        ++calls["revoke"];
    }

    function reopen() external {
        bytes memory data = abi.encodeCall(RewardsLedger.reopenProposals, ());
        if (open) return _mustRefuse(_governor, address(LEDGER), data);
        vm.prank(_governor);
        LEDGER.reopenProposals();
        open = true;
        ++calls["reopen"];
    }

    function wait(uint256 seconds_) external {
        vm.warp(block.timestamp + seconds_ % 2 days);
    }

    /* CLAIMS */

    function claim(uint256 pick, bool older) external {
        uint256 i = pick % ACCOUNTS;
        uint256[] storage cumulatives = older ? _previous : _current;
        if (cumulatives.length == 0) return;
        address account = accounts[i];
        uint256 cumulative = cumulatives[i];
        bytes32[] memory proof = _proof(cumulatives, i);
        bytes memory data = abi.encodeCall(RewardsLedger.claim, (account, cumulative, proof));
        if (paused || cumulative <= claimed[account]) return _mustRefuse(account, address(LEDGER), data);
        _mustRefuse(account, address(LEDGER), abi.encodeCall(RewardsLedger.claim, (account, cumulative + 1, proof)));
        LEDGER.claim(account, cumulative, proof);
        _book(account, cumulative);
        _mustRefuse(account, address(LEDGER), data);
        ++calls[older ? bytes32("claim older") : bytes32("claim")];
    }

    function claimMany(uint256 seed, bool older) external {
        uint256[] storage cumulatives = older ? _previous : _current;
        if (cumulatives.length == 0) return;
        uint256 count = seed % 9;
        address[] memory who = new address[](count);
        uint256[] memory leaves = new uint256[](count);
        bytes32[][] memory proofs = new bytes32[][](count);
        uint256 due;
        bool unsettled;
        for (uint256 n = 0; n < count; ++n) {
            uint256 i = uint256(keccak256(abi.encode(seed, n))) % ACCOUNTS;
            (who[n], leaves[n], proofs[n]) = (accounts[i], cumulatives[i], _proof(cumulatives, i));
            if (leaves[n] > claimed[who[n]]) unsettled = true;
        }
        if (paused && unsettled) {
            return
                _mustRefuse(_publisher, address(LEDGER), abi.encodeCall(RewardsLedger.claimMany, (who, leaves, proofs)));
        }
        uint256 total = LEDGER.claimMany(who, leaves, proofs);
        for (uint256 n = 0; n < count; ++n) {
            if (leaves[n] <= claimed[who[n]]) continue;
            due += leaves[n] - claimed[who[n]];
            _book(who[n], leaves[n]);
        }
        vm.assertEq(total, due, "claimMany returns what it paid");
        ++calls["claimMany"];
    }

    function _book(address account, uint256 cumulative) private {
        uint256 amount = cumulative - claimed[account];
        claimed[account] = cumulative;
        claims += amount;
        paid[payeeOf[account]] += amount;
    }

    function _proof(uint256[] storage cumulatives, uint256 i) private view returns (bytes32[] memory) {
        bytes32[] memory leaves = new bytes32[](ACCOUNTS);
        for (uint256 j = 0; j < ACCOUNTS; ++j) {
            leaves[j] = Tree.leaf(accounts[j], cumulatives[j]);
        }
        return Tree.proof(Tree.build(leaves), i);
    }

    function setPayee(uint256 pick, uint256 to) external {
        address account = accounts[pick % ACCOUNTS];
        address payee = payees[to % payees.length];
        vm.prank(account);
        LEDGER.setPayee(payee);
        payeeOf[account] = payee;
        ++calls["setPayee"];
    }

    /* EMERGENCY */

    function pause(uint256 seed) external {
        if (seed % 3 != 0) return;
        bytes memory data = abi.encodeCall(RewardsLedger.pauseClaims, ());
        if (paused) return _mustRefuse(_guardian, address(LEDGER), data);
        vm.prank(_guardian);
        LEDGER.pauseClaims();
        paused = true;
        ++calls["pause"];
    }

    function resume() external {
        bytes memory data = abi.encodeCall(RewardsLedger.resumeClaims, ());
        if (!paused) return _mustRefuse(_governor, address(LEDGER), data);
        vm.prank(_governor);
        LEDGER.resumeClaims();
        paused = false;
        ++calls["resume"];
    }

    /// @dev A correction that keeps the off-chain promise: it moves an award between two accounts, none below what it
    /// has claimed.
    function supersede(uint256 seed) external {
        if (_current.length == 0) return;
        uint256 from = seed % ACCOUNTS;
        uint256 to = (seed / ACCOUNTS) % ACCOUNTS;
        uint256 free = _current[from] - claimed[accounts[from]];
        uint256 moved = free == 0 ? 0 : (seed / 64) % (free + 1);
        uint256[] memory corrected = new uint256[](ACCOUNTS);
        bytes32[] memory leaves = new bytes32[](ACCOUNTS);
        for (uint256 i = 0; i < ACCOUNTS; ++i) {
            corrected[i] = _current[i];
        }
        corrected[from] -= moved;
        corrected[to] += moved;
        for (uint256 i = 0; i < ACCOUNTS; ++i) {
            leaves[i] = Tree.leaf(accounts[i], corrected[i]);
        }
        EpochHeader memory header;
        header.epoch = uint64(nextEpoch - 1);
        header.claimRoot = Tree.build(leaves)[0];
        header.ledgerHead = keccak256(abi.encode(seed));
        header.policyHash = REGISTRY.policyHashAt(header.epoch);
        header.parentHash = lastHeader;
        header.rollover = LEDGER.rollover();
        bytes memory data = abi.encodeCall(RewardsLedger.supersedeRoot, (header));
        if (!paused || activatesAt != 0) return _mustRefuse(_governor, address(LEDGER), data);
        vm.prank(_governor);
        LEDGER.supersedeRoot(header);
        lastHeader = keccak256(abi.encode(header));
        (root, olderRoot) = (header.claimRoot, 0);
        _current = corrected;
        delete _previous;
        _award(_current);
        ++calls["supersede"];
    }

    /* POLICY AND CARBON */

    function schedule(uint256 seed) external {
        uint64[] memory epochs = REGISTRY.effectiveEpochs();
        uint64 latest = epochs[epochs.length - 1];
        uint64 earliest = REGISTRY.currentEpoch() + 2;
        Policy memory policy = REGISTRY.policyAt(latest);
        policy.epochBudgetWei -= uint96(policy.epochBudgetWei * (seed % 3) / 100);
        policy.reserveBps = policy.reserveBps > 1000 ? 950 : 1050;
        policy.tablesHash = keccak256(abi.encode(seed));
        uint64 effective = (latest + 1 > earliest ? latest + 1 : earliest) + uint64(seed % 3);
        if (effective > earliest + 12) return;
        vm.prank(_governor);
        REGISTRY.schedule(policy, effective);
        ++calls["schedule"];
    }

    function cancel(uint256 seed) external {
        uint64[] memory epochs = REGISTRY.effectiveEpochs();
        uint64 epoch = epochs[seed % epochs.length];
        bytes memory data = abi.encodeCall(PolicyRegistry.cancel, (epoch));
        if (epoch == 0 || REGISTRY.epochStart(epoch) <= block.timestamp) {
            return _mustRefuse(_guardian, address(REGISTRY), data);
        }
        vm.prank(_guardian);
        REGISTRY.cancel(epoch);
        ++calls["cancel"];
    }

    function retire(uint256 seed) external {
        uint256 available = (owed - unpaid - retired) / 1e6;
        bytes32 certificate = keccak256(abi.encode(seed));
        _mustRefuse(
            _retirer, address(VAULT), abi.encodeCall(CarbonVault.retire, (available + 1, 0, payees[6], certificate, ""))
        );
        if (available == 0 || VAULT.certificateUsed(certificate)) return;
        uint256 grams = _bound(seed, 1, available);
        uint256 max = 2 * grams * REGISTRY.carbonPriceAt(REGISTRY.currentEpoch()) / 1e6;
        if (max > carbons - spent) max = carbons - spent;
        uint256 payment = _bound(seed / 7, 0, max);
        _mustRefuse(
            _retirer, address(VAULT), abi.encodeCall(CarbonVault.retire, (grams, max + 1, payees[6], certificate, ""))
        );
        vm.prank(_retirer);
        VAULT.retire(grams, payment, payees[6], certificate, "");
        spent += payment;
        retired += grams * 1e6;
        paid[payees[6]] += payment;
        ++calls["retire"];
    }

    function _mustRefuse(address caller, address target, bytes memory data) private {
        vm.prank(caller);
        (bool done,) = target.call(data);
        vm.assertTrue(!done, "must be refused");
    }
}

contract InvariantsTest is LedgerTest {
    Handler private _handler;

    function setUp() public override {
        super.setUp();
        _handler = new Handler(ledger, registry, vault, AthToken(token));
    }

    /// @dev A walk that the invariants share would prove little if some action never got through.
    function test_every_action_of_the_handler_happens() public {
        for (uint256 i = 0; i < 1200; ++i) {
            uint256 seed = uint256(keccak256(abi.encode("walk", i)));
            uint256 argument = seed >> 8;
            uint256 action = seed % 16;
            if (action < 2) _handler.propose(argument);
            else if (action < 5) _handler.activate(argument);
            else if (action == 5) _handler.revoke(argument);
            else if (action == 6) _handler.reopen();
            else if (action == 7) _handler.claim(argument, argument % 3 == 0);
            else if (action == 8) _handler.claimMany(argument, argument % 3 == 0);
            else if (action == 9) _handler.setPayee(argument, argument >> 8);
            else if (action == 10) _handler.pause(argument);
            else if (action == 11) _handler.resume();
            else if (action == 12) _handler.supersede(argument);
            else if (action == 13) _handler.schedule(argument);
            else if (action == 14) _handler.cancel(argument);
            else _handler.retire(argument);
        }
        bytes32[14] memory actions = [
            bytes32("propose"),
            "activate",
            "revoke",
            "reopen",
            "claim",
            "claim older",
            "claimMany",
            "setPayee",
            "pause",
            "resume",
            "supersede",
            "schedule",
            "cancel",
            "retire"
        ];
        for (uint256 i = 0; i < actions.length; ++i) {
            vm.assertTrue(_handler.calls(actions[i]) > 1, string(abi.encodePacked(actions[i])));
        }
    }

    /// @dev forge asks for this: only the handler acts.
    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    function invariant_the_ledger_holds_what_was_paid_in_and_not_claimed() public view {
        vm.assertEq(_balance(address(ledger)), _handler.payouts() - _handler.claims(), "balance");
    }

    function invariant_vault_and_reserve_received_exactly_their_share() public view {
        vm.assertEq(_balance(reserve), _handler.reserves(), "reserve");
        vm.assertEq(vault.received(), _handler.carbons(), "vault received");
        vm.assertEq(_balance(address(vault)), _handler.carbons() - _handler.spent(), "vault holds");
        vm.assertEq(vault.held(), _balance(address(vault)), "held");
    }

    function invariant_what_was_pulled_and_what_rolls_over_are_the_budgets() public view {
        uint256 pulled = AthToken(token).CAP() - _balance(treasury);
        vm.assertEq(pulled + ledger.rollover(), _handler.budgets(), "budgets");
    }

    function invariant_claimed_never_exceeds_the_leaf() public view {
        for (uint256 i = 0; i < 6; ++i) {
            address account = _handler.accounts(i);
            vm.assertEq(ledger.claimed(account), _handler.claimed(account), "claimed");
            vm.assertLe(ledger.claimed(account), _handler.highestLeaf(account), "leaf");
            vm.assertEq(ledger.payeeOf(account), _handler.payeeOf(account), "payee");
        }
    }

    function invariant_a_payee_changes_where_and_never_how_much() public view {
        for (uint256 i = 0; i < 7; ++i) {
            address payee = _handler.payees(i);
            vm.assertEq(_balance(payee), _handler.paid(payee), "payee's balance");
        }
    }

    function invariant_headers_form_the_replayed_chain() public view {
        vm.assertEq(ledger.lastHeaderHash(), _handler.lastHeader(), "last header");
        vm.assertEq(ledger.nextEpoch(), _handler.nextEpoch(), "next epoch");
        vm.assertTrue(block.timestamp >= registry.epochStart(ledger.nextEpoch()) || ledger.nextEpoch() == 0, "over");
        (uint64 activatesAt,) = ledger.pending();
        vm.assertEq(activatesAt, _handler.activatesAt(), "the time of activation stands");
        vm.assertEq(ledger.proposalsOpen(), _handler.open(), "open");
    }

    function invariant_roots_are_live_or_saved_and_never_lost() public view {
        bool paused = ledger.paused();
        vm.assertEq(paused, _handler.paused(), "paused");
        vm.assertEq(paused ? ledger.savedRoot() : ledger.claimRoot(), _handler.root(), "root");
        vm.assertEq(paused ? ledger.savedPreviousRoot() : ledger.previousRoot(), _handler.olderRoot(), "previous");
        vm.assertEq(paused ? ledger.claimRoot() : ledger.savedRoot(), 0, "the other place");
        vm.assertEq(paused ? ledger.previousRoot() : ledger.savedPreviousRoot(), 0, "the other place");
    }

    function invariant_carbon_owed_paid_for_and_retired_add_up_by_epoch() public view {
        vm.assertEq(vault.owed(), _handler.owed(), "owed");
        vm.assertEq(vault.owed() - vault.paidFor(), _handler.unpaid(), "unpaid");
        vm.assertEq(vault.retired(), _handler.retired(), "retired");
        uint256[4] memory sums;
        bool laterMustBeEmpty;
        for (uint64 epoch = 0; epoch < ledger.nextEpoch(); ++epoch) {
            CarbonVault.EpochCarbon memory carbon = vault.carbonOf(epoch);
            sums[0] += carbon.received;
            sums[1] += carbon.owedMicrograms;
            sums[2] += carbon.paidForMicrograms;
            sums[3] += carbon.retiredMicrograms;
            vm.assertLe(carbon.retiredMicrograms, carbon.paidForMicrograms, "retired within paid for");
            vm.assertLe(carbon.paidForMicrograms, carbon.owedMicrograms, "paid for within owed");
            if (laterMustBeEmpty) vm.assertEq(carbon.retiredMicrograms, 0, "oldest first");
            if (carbon.retiredMicrograms < carbon.owedMicrograms) laterMustBeEmpty = true;
        }
        vm.assertEq(sums[0], vault.received(), "received by epoch");
        vm.assertEq(sums[1], vault.owed(), "owed by epoch");
        vm.assertEq(sums[2], vault.paidFor(), "paid for by epoch");
        vm.assertEq(sums[3], vault.retired(), "retired by epoch");
    }
}
