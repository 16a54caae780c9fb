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
    /// @dev 4.7 billion tonnes. The vault's running sum has room for 256 epochs of it, so no one header that slips
    /// through can make every later activation overflow.
    uint256 private constant MAX_RESIDUAL_MICROGRAMS = type(uint72).max;
    bytes32 private constant SET_PAYEE_TYPEHASH =
        keccak256("SetPayee(address account,address payee,uint256 nonce,uint256 deadline)");

    /* STORAGE */

    /// @notice Root that claims are checked against; 0 before the first payout and while paused.
    bytes32 public claimRoot;
    /// @notice Root before it, still good for claims, so that an activation never fails a claim in flight.
    bytes32 public previousRoot;

    /// @dev One slot, which a claim reads and writes once: the lower 96 bits are the wei claimed, the upper 160 the
    /// payee, 0 for the account itself. No cumulative figure reaches 2^96, so adding to the slot never carries over.
    mapping(address account => uint256 payeeAndClaimed) private _accounts;

    /// @dev Hash of the last epoch's header (or of its correction) at nextEpoch mod 2, of the pending one at the other
    /// place: activating swaps them without a write. The pending place is stale when nothing is pending.
    bytes32[2] private _headerHashes;

    /// @dev One slot.
    struct Progress {
        uint64 nextEpoch;
        uint64 activatesAt; // 0 when nothing is pending
        uint96 rollover;
        bool proposalsOpen;
        bool paused;
    }

    Progress private _progress;

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
    error PullFailed(address treasury, uint256 amount);
    error TransferShort(address to, uint256 expected, uint256 received);
    /// @dev Thrown by SafeTransferLib, in assembly: named here so that the ABI can decode it.
    error TransferFailed();

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
        _progress.proposalsOpen = true;
    }

    /* EPOCHS */

    /// @notice Proposes the header of the next epoch; it can be activated when the window has passed.
    /// @dev The publisher chooses no time: the epoch must be over, and `activatesAt` is frozen here.
    function proposeEpoch(EpochHeader calldata header) external restricted {
        // Check
        Progress memory progress = _progress;
        uint256 next = progress.nextEpoch;
        if (!progress.proposalsOpen) revert ProposalsAreClosed();
        if (progress.activatesAt != 0) revert EpochPending(_headerHashes[(next + 1) % 2], progress.activatesAt);
        if (header.epoch != next) revert WrongEpoch(next, header.epoch);
        uint256 endsAt = GENESIS + (next + 1) * EPOCH_LENGTH;
        if (block.timestamp < endsAt) revert EpochNotOver(next, endsAt, block.timestamp);
        _checkParent(header, next);
        if (header.residualMicrograms > MAX_RESIDUAL_MICROGRAMS) {
            revert ResidualTooLarge(header.residualMicrograms, MAX_RESIDUAL_MICROGRAMS);
        }
        _checkAllocation(header, progress.rollover);
        if (header.payout != 0) {
            if (header.claimRoot == 0) revert RootMissing();
        } else {
            // Without money there is no reason for another root; an epoch that pays nobody must not swap the tree.
            bytes32 current = progress.paused ? savedRoot : claimRoot;
            if (header.claimRoot != current) revert RootWithoutPayout(current, header.claimRoot);
        }

        // Effect
        bytes32 headerHash = _hash(header);
        uint64 activatesAt = uint64(block.timestamp) + WINDOW;
        _headerHashes[(next + 1) % 2] = headerHash;
        _progress.activatesAt = activatesAt;
        emit EpochProposed(header.epoch, headerHash, header, activatesAt);
    }

    /// @notice Throws away the pending proposal and closes proposals.
    /// @dev Closed until the governor reopens them: a stolen publisher key cannot just propose again.
    function revokeEpoch(EpochHeader calldata header) external restricted {
        bytes32 headerHash = _checkPending(header, _progress);
        _progress.activatesAt = 0;
        _progress.proposalsOpen = false;
        emit EpochRevoked(header.epoch, headerHash);
    }

    /// @notice Lets the publisher propose again after a revocation.
    function reopenProposals() external restricted {
        if (_progress.proposalsOpen) revert ProposalsAreOpen();
        _progress.proposalsOpen = true;
        emit ProposalsReopened();
    }

    /// @notice Activates the pending epoch: takes its money from the treasury and opens its claims. Anyone may call.
    /// @dev Not while paused: activating would put a root back where pausing took it away.
    function activateEpoch(EpochHeader calldata header) external {
        // Check
        Progress memory progress = _progress;
        bytes32 headerHash = _checkPending(header, progress);
        if (block.timestamp < progress.activatesAt) revert WindowOpen(progress.activatesAt, block.timestamp);
        if (progress.paused) revert ClaimsArePaused();

        // Effect
        progress.activatesAt = 0;
        // The header is the pending one: its epoch is nextEpoch.
        progress.nextEpoch = header.epoch + 1;
        progress.rollover = header.rollover;
        _progress = progress;
        if (header.payout != 0) {
            previousRoot = claimRoot;
            claimRoot = header.claimRoot;
        }
        emit EpochActivated(header.epoch, headerHash);

        // Interaction
        _pull(uint256(header.payout) + header.carbon + header.reserve);
        _route(address(VAULT), header.carbon);
        _route(RESERVE, header.reserve);
        VAULT.recordCarbon(header.epoch, header.carbon, header.residualMicrograms);
    }

    /* CLAIMS */

    /// @notice Pays the account's payee what the leaf holds beyond what was claimed. Anyone may call.
    /// @param account The operator named in the leaf.
    /// @param cumulative The leaf's wei: everything the account was ever awarded.
    /// @param proof The leaf's siblings, from the bottom.
    function claim(address account, uint256 cumulative, bytes32[] calldata proof) external {
        (uint256 amount, address payee) = _settle(account, cumulative, proof);
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
            if (cumulatives[i] <= claimed(accounts[i])) continue;
            (uint256 amount, address payee) = _settle(accounts[i], cumulatives[i], proofs[i]);
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
    function claimed(address account) public view returns (uint256) {
        return uint96(_accounts[account]);
    }

    /// @notice Where claims of the account are paid: the account itself unless it named another.
    function payeeOf(address account) external view returns (address payee) {
        payee = address(uint160(_accounts[account] >> 96));
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
        if (_progress.paused) revert ClaimsArePaused();
        _progress.paused = true;
        savedRoot = claimRoot;
        savedPreviousRoot = previousRoot;
        claimRoot = 0;
        previousRoot = 0;
        emit ClaimsPaused(savedRoot, savedPreviousRoot);
    }

    /// @notice Puts the roots back.
    function resumeClaims() external restricted {
        if (!_progress.paused) revert ClaimsAreNotPaused();
        _progress.paused = false;
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
        Progress memory progress = _progress;
        uint256 next = progress.nextEpoch;
        if (!progress.paused) revert ClaimsAreNotPaused();
        if (progress.activatesAt != 0) revert EpochPending(_headerHashes[(next + 1) % 2], progress.activatesAt);
        if (next == 0) revert NoEpochYet();
        if (header.epoch != next - 1) revert WrongEpoch(next - 1, header.epoch);
        _checkParent(header, next);
        bytes32 policyHash = REGISTRY.policyHashAt(header.epoch);
        if (header.policyHash != policyHash) revert WrongPolicy(policyHash, header.policyHash);
        if (header.payout != 0 || header.carbon != 0 || header.reserve != 0 || header.residualMicrograms != 0) {
            revert CorrectionMovesMoney(header.payout, header.carbon, header.reserve, header.residualMicrograms);
        }
        if (header.rollover != progress.rollover) revert WrongRollover(progress.rollover, header.rollover);
        if (header.claimRoot == 0) revert RootMissing();

        // Effect
        bytes32 headerHash = _hash(header);
        _headerHashes[next % 2] = headerHash;
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
        activatesAt = _progress.activatesAt;
        if (activatesAt != 0) headerHash = _headerHashes[(_progress.nextEpoch + 1) % 2];
    }

    /// @notice Hash of the header of the last activated epoch, or of its correction; 0 before the first.
    function lastHeaderHash() external view returns (bytes32) {
        return _headerHashes[_progress.nextEpoch % 2];
    }

    /// @notice Number of the epoch to propose next.
    function nextEpoch() external view returns (uint64) {
        return _progress.nextEpoch;
    }

    /// @notice Wei of budget that no activated epoch has given out yet.
    function rollover() external view returns (uint96) {
        return _progress.rollover;
    }

    /// @notice Whether the publisher may propose.
    function proposalsOpen() external view returns (bool) {
        return _progress.proposalsOpen;
    }

    /// @notice Whether claims and activations rest.
    function paused() external view returns (bool) {
        return _progress.paused;
    }

    /* INTERNAL */

    /// @dev Policy, reserve, carbon cap and the total, against the registry's terms for the epoch.
    function _checkAllocation(EpochHeader calldata header, uint256 rolloverIn) private view {
        (bytes32 policyHash, uint256 budget, uint256 reserveBps, uint256 carbonCapBps) =
            REGISTRY.allocationTermsAt(header.epoch);
        if (header.policyHash != policyHash) revert WrongPolicy(policyHash, header.policyHash);
        uint256 reserve = budget * reserveBps / BPS;
        if (header.reserve != reserve) revert WrongReserve(reserve, header.reserve);
        uint256 cap = budget * carbonCapBps / BPS;
        if (header.carbon > cap) revert CarbonAboveCap(header.carbon, cap);
        uint256 total = uint256(header.payout) + header.carbon + header.reserve + header.rollover;
        if (total != budget + rolloverIn) revert WrongTotal(budget + rolloverIn, total);
    }

    function _checkParent(EpochHeader calldata header, uint256 next) private view {
        bytes32 last = _headerHashes[next % 2];
        if (header.parentHash != last) revert WrongParent(last, header.parentHash);
    }

    function _checkPending(EpochHeader calldata header, Progress memory progress)
        private
        view
        returns (bytes32 headerHash)
    {
        if (progress.activatesAt == 0) revert NothingPending();
        headerHash = _hash(header);
        bytes32 expected = _headerHashes[(uint256(progress.nextEpoch) + 1) % 2];
        if (headerHash != expected) revert WrongHeader(expected, headerHash);
    }

    /// @dev Takes exactly `amount` from the treasury, or reverts: unfunded epochs and tokens that keep a fee end here.
    /// Balances are compared, so a claim made by a token that calls back shows too.
    function _pull(uint256 amount) private {
        if (amount == 0) return;
        uint256 before = TOKEN.balanceOf(address(this));
        if (!TOKEN.trySafeTransferFrom(TREASURY, address(this), amount)) revert PullFailed(TREASURY, amount);
        _checkArrival(address(this), before, amount);
    }

    /// @dev Passes on exactly `amount` of what was pulled, or reverts.
    function _route(address to, uint256 amount) private {
        if (amount == 0) return;
        uint256 before = TOKEN.balanceOf(to);
        TOKEN.safeTransfer(to, amount);
        _checkArrival(to, before, amount);
    }

    function _checkArrival(address to, uint256 before, uint256 amount) private view {
        uint256 balance = TOKEN.balanceOf(to);
        uint256 received = balance > before ? balance - before : 0;
        if (received != amount) revert TransferShort(to, amount, received);
    }

    /// @dev Checks the proof and raises the claimed figure; the caller must pay what is returned.
    /// The leaf is OpenZeppelin's standard-v1: hashed twice, so that no inner node (64 bytes) passes as a leaf.
    function _settle(address account, uint256 cumulative, bytes32[] calldata proof)
        private
        returns (uint256 amount, address payee)
    {
        // Check
        bytes32 leaf =
            EfficientHashLib.hash(EfficientHashLib.hash(bytes32(uint256(uint160(account))), bytes32(cumulative)));
        if (!MerkleProofLib.verifyCalldata(proof, claimRoot, leaf)) {
            if (!MerkleProofLib.verifyCalldata(proof, previousRoot, leaf)) {
                // The flag is read only on the way to a refusal.
                if (_progress.paused) revert ClaimsArePaused();
                revert InvalidProof(account, cumulative);
            }
        }
        if (cumulative > type(uint96).max) revert CumulativeTooLarge(account, cumulative);
        uint256 slot = _accounts[account];
        uint256 before = uint96(slot);
        payee = address(uint160(slot >> 96));
        if (payee == address(0)) payee = account;
        if (cumulative <= before) revert NothingToClaim(account, cumulative, before);

        // Effect
        unchecked {
            amount = cumulative - before;
            _accounts[account] = slot + amount;
        }
        emit Claimed(account, payee, amount, cumulative);
    }

    function _setPayee(address account, address payee) private {
        // Paying this contract, or the token, would strand the reward.
        if (payee == address(this) || payee == TOKEN) revert PayeeNotAllowed(payee);
        uint256 kept = payee == account ? 0 : uint256(uint160(payee)) << 96;
        _accounts[account] = kept | uint96(_accounts[account]);
        emit PayeeSet(account, payee == address(0) ? account : payee);
    }

    /// @dev keccak256(abi.encode(header)): a struct of static members lies in calldata as it is encoded. Bits above a
    /// member's width are not refused here, but change the hash: the caller compares it, or emits the header, which
    /// refuses them.
    function _hash(EpochHeader calldata header) private pure returns (bytes32 headerHash) {
        assembly ("memory-safe") {
            let free := mload(0x40)
            calldatacopy(free, header, 352) // 11 members
            headerHash := keccak256(free, 352)
        }
    }
}
