// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AthToken} from "../src/AthToken.sol";
import {RewardsLedger} from "../src/RewardsLedger.sol";
import {LedgerTest} from "./LedgerTest.sol";

/// @dev The part of halmos' cheatcodes that the proofs use.
interface Svm {
    function createCalldata(string calldata contractName) external pure returns (bytes memory);
    function enableSymbolicStorage(address target) external;
}

/// @notice The two claims a treasury relies on, proved by halmos for every value: `make prove`.
/// @dev forge runs nothing here: the functions begin with check_. Whatever the ledger's storage holds is unknown to
/// the proof: roots, claimed figures, payees, flags. So is who calls, and with what.
/// Merkle proofs are empty: Solady picks a place in memory by comparing two hashes, which halmos cannot follow. As both
/// roots are arbitrary, a leaf may still match either of them or none, and nothing behind that check reads the proof;
/// the check itself is held to OpenZeppelin's trees by Claims.t.sol and Encodings.t.sol.
contract SymbolicTest is LedgerTest {
    Svm private constant svm = Svm(address(uint160(uint256(keccak256("svm cheat code")))));

    function setUp() public override {
        super.setUp();
        vm.prank(treasury);
        AthToken(token).transfer(address(ledger), 41_000_000_000e18);
        svm.enableSymbolicStorage(address(ledger));
    }

    /// @notice A claim that goes through pays exactly cumulative − claimed, to the payee, out of the ledger.
    function check_a_claim_pays_the_payee_exactly_what_is_new(address caller, address account, uint256 cumulative)
        public
    {
        address payee = ledger.payeeOf(account);
        // setPayee refuses both; the account itself is neither, as nobody holds their keys.
        vm.assume(payee != address(ledger) && payee != token);
        uint256 claimed = ledger.claimed(account);
        uint256 balance = _balance(payee);
        uint256 held = _balance(address(ledger));

        vm.prank(caller);
        try ledger.claim(account, cumulative, new bytes32[](0)) {
            assert(cumulative > claimed);
            assert(_balance(payee) == balance + (cumulative - claimed));
            assert(_balance(address(ledger)) == held - (cumulative - claimed));
            assert(ledger.claimed(account) == cumulative);
            assert(ledger.payeeOf(account) == payee);
        } catch {}
    }

    /// @notice Claiming for two at once pays out exactly what it adds to their claimed figures, which never fall.
    function check_claims_for_two_pay_exactly_what_is_new(
        address caller,
        address[2] calldata accounts,
        uint256[2] calldata cumulatives
    ) public {
        address[] memory pair = new address[](2);
        uint256[] memory amounts = new uint256[](2);
        for (uint256 i = 0; i < 2; ++i) {
            (pair[i], amounts[i]) = (accounts[i], cumulatives[i]);
            vm.assume(ledger.payeeOf(pair[i]) != address(ledger));
        }
        vm.assume(pair[0] != pair[1]);
        uint256 first = ledger.claimed(pair[0]);
        uint256 second = ledger.claimed(pair[1]);
        uint256 held = _balance(address(ledger));

        vm.prank(caller);
        try ledger.claimMany(pair, amounts, new bytes32[][](2)) {
            assert(ledger.claimed(pair[0]) >= first);
            assert(ledger.claimed(pair[1]) >= second);
            assert(
                held - _balance(address(ledger))
                    == (ledger.claimed(pair[0]) - first) + (ledger.claimed(pair[1]) - second)
            );
        } catch {}
    }

    /// @notice No other function, called by anybody, changes what any account has claimed.
    function check_nothing_but_claims_changes_claimed(address caller, address account) public {
        uint256 claimed = ledger.claimed(account);
        bytes memory data = svm.createCalldata("RewardsLedger");
        bytes4 selector = bytes4(data);
        vm.assume(selector != RewardsLedger.claim.selector && selector != RewardsLedger.claimMany.selector);
        vm.prank(caller);
        (bool ok,) = address(ledger).call(data);
        ok;
        assert(ledger.claimed(account) == claimed);
    }
}
