// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EpochHeader} from "../src/EpochHeader.sol";
import {Policy} from "../src/Policy.sol";
import {RewardsLedger} from "../src/RewardsLedger.sol";
import {LedgerTest} from "./LedgerTest.sol";
import {Tree} from "./TestBase.sol";

/// @dev The bytes that every side of the project must agree on.
contract EncodingsTest is LedgerTest {
    function _key(uint256 tree, string memory field) private pure returns (string memory) {
        return string.concat(".trees[", vm.toString(tree), "].", field);
    }

    function test_leaves_trees_and_proofs_are_those_of_the_npm_package() public {
        string memory json = vm.readFile("test/fixtures/tree.json");
        for (uint256 t = 0; t < 6; ++t) {
            address[] memory accounts = vm.parseJsonAddressArray(json, _key(t, "accounts"));
            uint256[] memory cumulatives = vm.parseJsonUintArray(json, _key(t, "cumulatives"));
            bytes32 root = vm.parseJsonBytes32(json, _key(t, "root"));
            vm.assertEq(accounts.length, vm.parseJsonUint(json, _key(t, "size")), "size");

            bytes32[] memory leaves = new bytes32[](accounts.length);
            for (uint256 i = 0; i < leaves.length; ++i) {
                leaves[i] = Tree.leaf(accounts[i], cumulatives[i]);
            }
            Tree.sort(leaves);
            bytes32[] memory nodes = Tree.build(leaves);
            vm.assertEq(nodes[0], root, "root");
            vm.assertEq(
                keccak256(abi.encode(nodes)),
                keccak256(abi.encode(vm.parseJsonBytes32Array(json, _key(t, "nodes")))),
                "every node"
            );

            uint256 total;
            for (uint256 i = 0; i < accounts.length; ++i) {
                total += cumulatives[i] - ledger.claimed(accounts[i]);
            }
            _activate(_header(root, total, 0, 0));
            for (uint256 i = 0; i < accounts.length; ++i) {
                if (ledger.claimed(accounts[i]) == cumulatives[i]) continue;
                string memory key = _key(t, string.concat("proofs[", vm.toString(i), "]"));
                ledger.claim(accounts[i], cumulatives[i], vm.parseJsonBytes32Array(json, key));
                vm.assertEq(ledger.claimed(accounts[i]), cumulatives[i], "claimed");
            }
        }
        vm.assertEq(_balance(address(ledger)), 0, "every leaf was payable");
    }

    /* VECTORS: tests/vectors/encodings.json, which the Python side is held to as well */

    function _vectors(string memory place, string memory title) private view returns (string memory json) {
        json = vm.readFile("../tests/vectors/encodings.json");
        vm.assertEq(vm.parseJsonString(json, string.concat(place, ".title")), title, "the vector meant");
    }

    function test_the_policy_hash_is_the_published_one() public {
        string memory place = ".vectors.parameters[1]";
        string memory json = _vectors(place, "policy");
        Policy memory policy = _policy();
        policy.tablesHash = vm.parseJsonBytes32(json, string.concat(place, ".input.tablesHash"));
        vm.prank(governor);
        registry.schedule(policy, 2);
        vm.assertEq(registry.policyHashAt(2), vm.parseJsonBytes32(json, string.concat(place, ".expected")), "hash");
    }

    function test_the_header_hash_is_the_published_one() public view {
        string memory place = ".vectors.commitments[4]";
        string memory json = _vectors(place, "header");
        string memory input = string.concat(place, ".input.");
        EpochHeader memory header = EpochHeader({
            epoch: uint64(vm.parseJsonUint(json, string.concat(input, "epoch"))),
            claimRoot: vm.parseJsonBytes32(json, string.concat(input, "claim_root")),
            ledgerHead: vm.parseJsonBytes32(json, string.concat(input, "ledger_head")),
            policyHash: vm.parseJsonBytes32(json, string.concat(input, "policy_hash")),
            manifestHash: vm.parseJsonBytes32(json, string.concat(input, "manifest_hash")),
            parentHash: vm.parseJsonBytes32(json, string.concat(input, "parent_hash")),
            payout: uint96(vm.parseJsonUint(json, string.concat(input, "payout"))),
            carbon: uint96(vm.parseJsonUint(json, string.concat(input, "carbon"))),
            reserve: uint96(vm.parseJsonUint(json, string.concat(input, "reserve"))),
            rollover: uint96(vm.parseJsonUint(json, string.concat(input, "rollover"))),
            residualMicrograms: uint128(vm.parseJsonUint(json, string.concat(input, "residual_micrograms")))
        });
        vm.assertEq(_hash(header), vm.parseJsonBytes32(json, string.concat(place, ".expected")), "hash");
    }

    /// @dev The vector's ledger has an address of its own; the domain follows the address the code runs at.
    function test_the_published_signature_sets_a_payee() public {
        string memory place = ".vectors['typed data'][20]";
        string memory json = _vectors(place, "SetPayee, signed with the private key 1");
        RewardsLedger published = RewardsLedger(0x3333333333333333333333333333333333333333);
        vm.etch(address(published), address(ledger).code);
        address account = vm.parseJsonAddress(json, string.concat(place, ".input.account"));
        address payee = vm.parseJsonAddress(json, string.concat(place, ".input.payee"));
        published.setPayeeBySig(
            account, payee, 0, type(uint256).max, vm.parseJsonBytes(json, string.concat(place, ".expected.signature"))
        );
        vm.assertEq(published.payeeOf(account), payee, "payee");
    }

    function testFuzz_the_header_hash_is_that_of_its_encoding(EpochHeader memory given) public {
        EpochHeader memory header = _header(given.claimRoot, 1, 0, given.residualMicrograms % 2 ** 72);
        vm.assume(given.claimRoot != 0);
        header.ledgerHead = given.ledgerHead;
        header.manifestHash = given.manifestHash;
        _propose(header);
        (, bytes32 pending) = ledger.pending();
        bytes memory encoded = abi.encode(
            header.epoch,
            header.claimRoot,
            header.ledgerHead,
            header.policyHash,
            header.manifestHash,
            header.parentHash,
            header.payout,
            header.carbon,
            header.reserve,
            header.rollover,
            header.residualMicrograms
        );
        vm.assertEq(encoded.length, 352, "eleven words");
        vm.assertEq(pending, keccak256(encoded), "hash");
    }

    function test_storage_lies_where_the_readme_says() public {
        bytes32[] memory nodes = _activatePaying(_three(), _amounts(100, 200, 300), 600);
        ledger.claim(alice, 100, Tree.proof(nodes, 0));
        vm.assertEq(vm.load(address(ledger), bytes32(uint256(4))), nodes[0], "claimRoot in slot 4");
        vm.assertEq(vm.load(address(ledger), keccak256(abi.encode(alice, 6))), bytes32(uint256(100)), "accounts in 6");
    }
}
