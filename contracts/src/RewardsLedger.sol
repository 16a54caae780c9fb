// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {Nonces} from "@openzeppelin/contracts/utils/Nonces.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {EfficientHashLib} from "solady/utils/EfficientHashLib.sol";
import {MerkleProofLib} from "solady/utils/MerkleProofLib.sol";
import {SafeTransferLib} from "solady/utils/SafeTransferLib.sol";
import {CarbonVault} from "./CarbonVault.sol";
import {EpochHeader} from "./EpochHeader.sol";
import {PolicyRegistry} from "./PolicyRegistry.sol";

/// @title RewardsLedger
/// @notice The chain of epoch headers, the money they move, and the operators' cumulative claims.
/// @dev Nothing here can take back what an activated epoch gave: no function withdraws the token except claims.
/// A tree whose leaves sum above what was paid in is caught off chain only, inside the window between proposal and
/// activation; the guardian can revoke there. Off chain too: a leaf never falls below what its account has claimed.
/// The token must be a plain ERC-20 with a supply below 2^96. One that charges a fee on transfers cannot fund an
/// epoch; one that calls back finds every balance already written.
contract RewardsLedger is AccessManaged, EIP712, Nonces {
    using SafeTransferLib for address;

    /* IMMUTABLES */

    address public immutable TOKEN;
    PolicyRegistry public immutable REGISTRY;
    CarbonVault public immutable VAULT;
    /// @notice Funds the epochs, by allowance to this contract.
    address public immutable TREASURY;
    /// @notice The strategic compute reserve.
    address public immutable RESERVE;
    /// @notice Start of epoch 0; the registry's.
    uint64 public immutable GENESIS;
    /// @notice Seconds of an epoch; the registry's.
    uint64 public immutable EPOCH_LENGTH;
    /// @notice Seconds between a proposal and its earliest activation.
    uint64 public immutable WINDOW;

    uint256 private constant BPS = 10_000;
    /// @dev 2^32 epochs of this many µg still fit the vault's running sum: no header can make a later one overflow.
    uint256 private constant MAX_RESIDUAL_MICROGRAMS = type(uint96).max;
    bytes32 private constant SET_PAYEE_TYPEHASH =
        keccak256("SetPayee(address account,address payee,uint256 nonce,uint256 deadline)");

    /* STORAGE */

    /// @dev One slot: a claim reads and writes it once. `claimed` is the lower 96 bits.
    struct Account {
        uint96 claimed;
        address payee;
    }

    /// @notice Root that claims are checked against; 0 before the first payout and while paused.
    bytes32 public claimRoot;
    /// @notice Root before it, still good for claims, so that an activation never fails a claim in flight.
    bytes32 public previousRoot;

    mapping(address account => Account) private _accounts;

    /// @notice Hash of the header of the last epoch, or of its correction; 0 before the first.
    bytes32 public lastHeaderHash;
    /// @dev Stale when nothing is pending: rewriting a used slot is cheaper than clearing and filling it.
    bytes32 private _pendingHash;

    /// @notice Number of the epoch to propose next.
    uint64 public nextEpoch;
    /// @dev 0 when nothing is pending.
    uint64 private _activatesAt;
    /// @notice Wei of budget that no epoch has given out yet.
    uint96 public rollover;
    /// @notice Whether the publisher may propose.
    bool public proposalsOpen;
    /// @notice Whether claims and activations rest.
    bool public paused;

    /// @notice What `claimRoot` comes back to when claims resume; 0 while they are not paused.
    bytes32 public savedRoot;
    /// @notice What `previousRoot` comes back to.
    bytes32 public savedPreviousRoot;

    /* EVENTS */

    /// @notice The header whole: with these logs alone the chain of epochs can be replayed and audited.
    event EpochProposed(uint64 indexed epoch, bytes32 indexed headerHash, EpochHeader header, uint64 activatesAt);
    event EpochActivated(uint64 indexed epoch, bytes32 indexed headerHash);
    event EpochRevoked(uint64 indexed epoch, bytes32 indexed headerHash);
    event RootSuperseded(uint64 indexed epoch, bytes32 indexed headerHash, EpochHeader header);
    event ProposalsReopened();
    event ClaimsPaused(bytes32 claimRoot, bytes32 previousRoot);
    event ClaimsResumed(bytes32 claimRoot, bytes32 previousRoot);
    event Claimed(address indexed account, address indexed payee, uint256 amount, uint256 cumulative);
    event PayeeSet(address indexed account, address indexed payee);
    event ForeignTokenRecovered(address indexed token, address indexed to, uint256 amount);

    /* ERRORS */

    error AddressIsZero(string what);
    error ReserveIsTreasury(address treasury);
    error WindowOutOfBounds(uint256 window, uint256 epochLength);

    error ProposalsAreClosed();
    error ProposalsAreOpen();
    error EpochPending(bytes32 headerHash, uint256 activatesAt);
    error NothingPending();
    error WrongEpoch(uint256 expected, uint256 given);
    error EpochNotOver(uint256 epoch, uint256 endsAt, uint256 timestamp);
    error WrongParent(bytes32 expected, bytes32 given);
    error WrongPolicy(bytes32 expected, bytes32 given);
    error WrongReserve(uint256 expected, uint256 given);
    error CarbonAboveCap(uint256 carbon, uint256 cap);
    error WrongTotal(uint256 expected, uint256 given);
    error ResidualTooLarge(uint256 residualMicrograms, uint256 max);
    error RootMissing();
    error RootWithoutPayout(bytes32 current, bytes32 given);
    error WrongHeader(bytes32 expected, bytes32 given);
    error WindowOpen(uint256 activatesAt, uint256 timestamp);
    error PullFailed(address to, uint256 amount);
    error PullShort(address to, uint256 expected, uint256 received);

    error ClaimsArePaused();
    error ClaimsAreNotPaused();
    error InvalidProof(address account, uint256 cumulative);
    error CumulativeTooLarge(address account, uint256 cumulative);
    error NothingToClaim(address account, uint256 cumulative, uint256 claimed);
    error LengthMismatch(uint256 accounts, uint256 cumulatives, uint256 proofs);

    error NoEpochYet();
    error CorrectionMovesMoney(uint256 payout, uint256 carbon, uint256 reserve, uint256 residualMicrograms);
    error WrongRollover(uint256 expected, uint256 given);

    error PayeeNotAllowed(address payee);
    error SignatureExpired(uint256 deadline, uint256 timestamp);
    error InvalidSignature(address account);
    error NotForeign(address token);

    /// @dev Creates the vault, so that neither contract needs a setter for the other's address: VAULT() names it.
    /// @param authority The AccessManager, of this contract and of the vault.
    /// @param token The ERC-20 that is paid out.
    /// @param registry Policies, and the calendar, which is copied: it cannot differ.
    /// @param treasury Funds epochs; approves this contract for the token.
    /// @param reserve Receives the reserve's share.
    /// @param window Seconds between proposal and activation; above 0, below the epoch length.
    constructor(
        address authority,
        address token,
        PolicyRegistry registry,
        address treasury,
        address reserve,
        uint64 window
    ) AccessManaged(authority) EIP712("ATH Ledger", "1") {
        if (token == address(0)) revert AddressIsZero("token");
        if (treasury == address(0)) revert AddressIsZero("treasury");
        if (reserve == address(0)) revert AddressIsZero("reserve");
        // Paying the reserve out of itself would be a transfer that arrives nowhere.
        if (reserve == treasury) revert ReserveIsTreasury(treasury);
        uint64 epochLength = registry.EPOCH_LENGTH();
        if (window == 0 || window >= epochLength) revert WindowOutOfBounds(window, epochLength);
        TOKEN = token;
        REGISTRY = registry;
        TREASURY = treasury;
        RESERVE = reserve;
        GENESIS = registry.GENESIS();
        EPOCH_LENGTH = epochLength;
        WINDOW = window;
        VAULT = new CarbonVault(authority, token, registry);
        proposalsOpen = true;
    }

    /* EPOCHS */

    /// @notice Proposes the header of the next epoch; it can be activated when the window has passed.
    /// @dev The publisher chooses no time: the epoch must be over, and `activatesAt` is frozen here.
    function proposeEpoch(EpochHeader calldata header) external restricted {
        // Check
        if (!proposalsOpen) revert ProposalsAreClosed();
        if (_activatesAt != 0) revert EpochPending(_pendingHash, _activatesAt);
        if (header.epoch != nextEpoch) revert WrongEpoch(nextEpoch, header.epoch);
        uint256 endsAt = GENESIS + (uint256(header.epoch) + 1) * EPOCH_LENGTH;
        if (block.timestamp < endsAt) revert EpochNotOver(header.epoch, endsAt, block.timestamp);
        if (header.parentHash != lastHeaderHash) revert WrongParent(lastHeaderHash, header.parentHash);
        if (header.residualMicrograms > MAX_RESIDUAL_MICROGRAMS) {
            revert ResidualTooLarge(header.residualMicrograms, MAX_RESIDUAL_MICROGRAMS);
        }
        _checkAllocation(header);
        if (header.payout != 0) {
            if (header.claimRoot == 0) revert RootMissing();
        } else {
            // Without money there is no reason for another root; an epoch that pays nobody must not swap the tree.
            bytes32 current = paused ? savedRoot : claimRoot;
            if (header.claimRoot != current) revert RootWithoutPayout(current, header.claimRoot);
        }

        // Effect
        bytes32 headerHash = _hash(header);
        uint64 activatesAt = uint64(block.timestamp) + WINDOW;
        _pendingHash = headerHash;
        _activatesAt = activatesAt;
        emit EpochProposed(header.epoch, headerHash, header, activatesAt);
    }

    /// @notice Throws away the pending proposal and closes proposals.
    /// @dev Closed until the governor reopens them: a stolen publisher key cannot just propose again.
    function revokeEpoch(EpochHeader calldata header) external restricted {
        bytes32 headerHash = _checkPending(header);
        _activatesAt = 0;
        proposalsOpen = false;
        emit EpochRevoked(header.epoch, headerHash);
    }

    /// @notice Lets the publisher propose again after a revocation.
    function reopenProposals() external restricted {
        if (proposalsOpen) revert ProposalsAreOpen();
        proposalsOpen = true;
        emit ProposalsReopened();
    }

    /// @notice Activates the pending epoch: takes its money from the treasury and opens its claims. Anyone may call.
    /// @dev Not while paused: activating would put a root back where pausing took it away.
    function activateEpoch(EpochHeader calldata header) external {
        // Check
        bytes32 headerHash = _checkPending(header);
        uint256 activatesAt = _activatesAt;
        if (block.timestamp < activatesAt) revert WindowOpen(activatesAt, block.timestamp);
        if (paused) revert ClaimsArePaused();

        // Effect
        _activatesAt = 0;
        nextEpoch = header.epoch + 1;
        rollover = header.rollover;
        lastHeaderHash = headerHash;
        if (header.payout != 0) {
            previousRoot = claimRoot;
            claimRoot = header.claimRoot;
        }
        emit EpochActivated(header.epoch, headerHash);

        // Interaction
        // The payout first: a token that calls back into a claim must not find new leaves before their money.
        _pull(address(this), header.payout);
        _pull(address(VAULT), header.carbon);
        _pull(RESERVE, header.reserve);
        VAULT.recordCarbon(header.epoch, header.carbon, header.residualMicrograms);
    }

    /* CLAIMS */

    /// @notice Pays the account's payee what the leaf holds beyond what was claimed. Anyone may call.
    /// @param account The operator named in the leaf.
    /// @param cumulative The leaf's wei: everything the account was ever awarded.
    /// @param proof The leaf's siblings, from the bottom.
    function claim(address account, uint256 cumulative, bytes32[] calldata proof) external {
        _checkProof(account, cumulative, proof);
        (uint256 amount, address payee) = _settle(account, cumulative);
        if (amount == 0) revert NothingToClaim(account, cumulative, _accounts[account].claimed);
        TOKEN.safeTransfer(payee, amount);
    }

    /// @notice Claims for many accounts. An account that is settled is skipped, so one front-run item fails nothing;
    /// neighbours with the same payee share a transfer.
    /// @dev An item that is not settled and whose proof is wrong refuses the whole batch.
    /// @return total The wei paid out, over all payees.
    function claimMany(address[] calldata accounts, uint256[] calldata cumulatives, bytes32[][] calldata proofs)
        external
        returns (uint256 total)
    {
        if (accounts.length != cumulatives.length || accounts.length != proofs.length) {
            revert LengthMismatch(accounts.length, cumulatives.length, proofs.length);
        }
        address heldFor;
        uint256 held;
        for (uint256 i = 0; i < accounts.length; ++i) {
            if (cumulatives[i] <= _accounts[accounts[i]].claimed) continue;
            _checkProof(accounts[i], cumulatives[i], proofs[i]);
            (uint256 amount, address payee) = _settle(accounts[i], cumulatives[i]);
            if (payee != heldFor) {
                if (held != 0) TOKEN.safeTransfer(heldFor, held);
                heldFor = payee;
                held = 0;
            }
            held += amount;
            total += amount;
        }
        if (held != 0) TOKEN.safeTransfer(heldFor, held);
    }

    /// @notice Wei the account has claimed.
    function claimed(address account) external view returns (uint256) {
        return _accounts[account].claimed;
    }

    /// @notice Where claims of the account are paid: the account itself unless it named another.
    function payeeOf(address account) external view returns (address payee) {
        payee = _accounts[account].payee;
        if (payee == address(0)) payee = account;
    }

    /* PAYEES */

    /// @notice Names who receives the caller's later claims; 0 or the caller itself undoes it.
    /// @dev Uses up the nonce: a signature still in a relayer's hands must not undo what the account did since.
    function setPayee(address payee) external {
        _useNonce(msg.sender);
        _setPayee(msg.sender, payee);
    }

    /// @notice The same, signed by the account (EIP-712 SetPayee; ERC-1271 for contracts) and sent by anyone.
    function setPayeeBySig(address account, address payee, uint256 nonce, uint256 deadline, bytes calldata signature)
        external
    {
        if (block.timestamp > deadline) revert SignatureExpired(deadline, block.timestamp);
        _useCheckedNonce(account, nonce);
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(SET_PAYEE_TYPEHASH, account, payee, nonce, deadline)));
        if (!SignatureChecker.isValidSignatureNow(account, digest, signature)) revert InvalidSignature(account);
        _setPayee(account, payee);
    }

    /* EMERGENCY */

    /// @notice Stops claims and activations.
    /// @dev The roots move away, so that a claim reads no flag. A second pause would save zeros over them: refused.
    function pauseClaims() external restricted {
        if (paused) revert ClaimsArePaused();
        paused = true;
        savedRoot = claimRoot;
        savedPreviousRoot = previousRoot;
        claimRoot = 0;
        previousRoot = 0;
        emit ClaimsPaused(savedRoot, savedPreviousRoot);
    }

    /// @notice Puts the roots back.
    function resumeClaims() external restricted {
        if (!paused) revert ClaimsAreNotPaused();
        paused = false;
        claimRoot = savedRoot;
        previousRoot = savedPreviousRoot;
        savedRoot = 0;
        savedPreviousRoot = 0;
        emit ClaimsResumed(claimRoot, previousRoot);
    }

    /// @notice Replaces a wrong tree by a correction header for the last epoch; moves no money.
    /// @dev Only while paused, and with nothing pending, whose parent the correction would pull away. Both old roots
    /// are gone afterwards. Off chain: no leaf below what its account has claimed, and the leaves together not above
    /// what was paid in.
    function supersedeRoot(EpochHeader calldata header) external restricted {
        // Check
        if (!paused) revert ClaimsAreNotPaused();
        if (_activatesAt != 0) revert EpochPending(_pendingHash, _activatesAt);
        if (nextEpoch == 0) revert NoEpochYet();
        if (header.epoch != nextEpoch - 1) revert WrongEpoch(nextEpoch - 1, header.epoch);
        if (header.parentHash != lastHeaderHash) revert WrongParent(lastHeaderHash, header.parentHash);
        bytes32 policyHash = REGISTRY.policyHashAt(header.epoch);
        if (header.policyHash != policyHash) revert WrongPolicy(policyHash, header.policyHash);
        if (header.payout != 0 || header.carbon != 0 || header.reserve != 0 || header.residualMicrograms != 0) {
            revert CorrectionMovesMoney(header.payout, header.carbon, header.reserve, header.residualMicrograms);
        }
        if (header.rollover != rollover) revert WrongRollover(rollover, header.rollover);
        if (header.claimRoot == 0) revert RootMissing();

        // Effect
        bytes32 headerHash = _hash(header);
        lastHeaderHash = headerHash;
        savedRoot = header.claimRoot;
        savedPreviousRoot = 0;
        emit RootSuperseded(header.epoch, headerHash, header);
    }

    /// @notice Sends on a token that was sent here by mistake; never the token rewards are paid in.
    function recoverForeign(address token, address to, uint256 amount) external restricted {
        if (token == TOKEN) revert NotForeign(token);
        emit ForeignTokenRecovered(token, to, amount);
        token.safeTransfer(to, amount);
    }

    /* VIEWS */

    /// @notice The pending proposal; both 0 when there is none.
    function pending() external view returns (uint64 activatesAt, bytes32 headerHash) {
        activatesAt = _activatesAt;
        if (activatesAt != 0) headerHash = _pendingHash;
    }

    /* INTERNAL */

    /// @dev Policy, reserve, carbon cap and the total, against the registry's terms for the epoch.
    function _checkAllocation(EpochHeader calldata header) private view {
        (bytes32 policyHash, uint256 budget, uint256 reserveBps, uint256 carbonCapBps) =
            REGISTRY.allocationTermsAt(header.epoch);
        if (header.policyHash != policyHash) revert WrongPolicy(policyHash, header.policyHash);
        uint256 reserve = budget * reserveBps / BPS;
        if (header.reserve != reserve) revert WrongReserve(reserve, header.reserve);
        uint256 cap = budget * carbonCapBps / BPS;
        if (header.carbon > cap) revert CarbonAboveCap(header.carbon, cap);
        uint256 total = uint256(header.payout) + header.carbon + header.reserve + header.rollover;
        if (total != budget + rollover) revert WrongTotal(budget + rollover, total);
    }

    function _checkPending(EpochHeader calldata header) private view returns (bytes32 headerHash) {
        if (_activatesAt == 0) revert NothingPending();
        headerHash = _hash(header);
        if (headerHash != _pendingHash) revert WrongHeader(_pendingHash, headerHash);
    }

    /// @dev Takes exactly `amount` from the treasury to `to`, or reverts.
    function _pull(address to, uint256 amount) private {
        if (amount == 0) return;
        uint256 before = TOKEN.balanceOf(to);
        if (!TOKEN.trySafeTransferFrom(TREASURY, to, amount)) revert PullFailed(to, amount);
        uint256 balance = TOKEN.balanceOf(to);
        // A balance that fell is a token that called back into a claim, or lies: nothing arrived either way.
        uint256 received = balance > before ? balance - before : 0;
        if (received != amount) revert PullShort(to, amount, received);
    }

    /// @dev Leaf as OpenZeppelin's standard-v1 tree: hashed twice, so that no inner node (64 bytes) passes as a leaf.
    function _checkProof(address account, uint256 cumulative, bytes32[] calldata proof) private view {
        bytes32 leaf =
            EfficientHashLib.hash(EfficientHashLib.hash(bytes32(uint256(uint160(account))), bytes32(cumulative)));
        if (!MerkleProofLib.verifyCalldata(proof, claimRoot, leaf)) {
            if (!MerkleProofLib.verifyCalldata(proof, previousRoot, leaf)) {
                // The flag is read only on the way to a refusal.
                if (paused) revert ClaimsArePaused();
                revert InvalidProof(account, cumulative);
            }
        }
    }

    /// @dev Raises the claimed figure and returns what the caller must pay; 0 when the leaf holds nothing more.
    function _settle(address account, uint256 cumulative) private returns (uint256 amount, address payee) {
        if (cumulative > type(uint96).max) revert CumulativeTooLarge(account, cumulative);
        Account storage entry = _accounts[account];
        uint256 before = entry.claimed;
        payee = entry.payee;
        if (payee == address(0)) payee = account;
        if (cumulative <= before) return (0, payee);
        unchecked {
            amount = cumulative - before;
        }
        entry.claimed = uint96(cumulative);
        emit Claimed(account, payee, amount, cumulative);
    }

    function _setPayee(address account, address payee) private {
        // Paying this contract, or the token, would strand the reward.
        if (payee == address(this) || payee == TOKEN) revert PayeeNotAllowed(payee);
        _accounts[account].payee = payee == account ? address(0) : payee;
        emit PayeeSet(account, payee == address(0) ? account : payee);
    }

    function _hash(EpochHeader calldata header) private pure returns (bytes32) {
        return keccak256(abi.encode(header));
    }
}
