// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {SafeTransferLib} from "solady/utils/SafeTransferLib.sol";
import {PolicyRegistry} from "./PolicyRegistry.sol";
import {RewardsLedger} from "./RewardsLedger.sol";

/// @title CarbonVault
/// @notice Holds the carbon carve-out, pays for retirements and records them, oldest epochs first.
/// @dev Created by RewardsLedger, the only one that may tell it of an epoch. Every figure by epoch is read off running
/// sums: the µg of epoch e lie between owedThrough(e−1) and owedThrough(e) on one line from 0, and whatever was paid
/// for or retired covers that line from its beginning. So "oldest first" needs no loop and cannot be chosen.
contract CarbonVault is AccessManaged {
    using SafeTransferLib for address;

    /// @notice What one epoch put on the line, and how much of that is covered by now.
    struct EpochCarbon {
        uint256 received;
        uint256 owedMicrograms;
        uint256 paidForMicrograms;
        uint256 retiredMicrograms;
    }

    /// @dev Sums over all epochs up to and including one; a slot. 2^80 µg are 1.2·10¹² t, decades of the world's
    /// emissions.
    struct RunningSum {
        uint80 owedMicrograms;
        uint80 paidForMicrograms;
        uint96 received;
    }

    /* IMMUTABLES */

    address public immutable TOKEN;
    PolicyRegistry public immutable REGISTRY;
    /// @notice The RewardsLedger that created this vault.
    RewardsLedger public immutable LEDGER;

    uint256 private constant MICROGRAMS_PER_GRAM = 1e6;
    uint256 private constant MICROGRAMS_PER_TONNE = 1e12;
    uint256 private constant GRAMS_PER_TONNE = 1e6;

    /* STORAGE */

    mapping(uint256 epoch => RunningSum) private _through;
    uint128 private _retired;
    uint96 private _spent;
    /// @notice Certificates that were retired here; each counts once.
    mapping(bytes32 certificateHash => bool) public certificateUsed;

    /* EVENTS */

    /// @param paidForMicrograms How much more of the line this amount paid for, at the epoch's price.
    event CarbonReceived(uint64 indexed epoch, uint256 amount, uint256 residualMicrograms, uint256 paidForMicrograms);
    /// @param fromMicrograms Position on the line of running sums at which this retirement starts.
    /// @param toMicrograms Position at which it ends; the difference is grams · 10⁶.
    event CarbonRetired(
        bytes32 indexed certificateHash,
        address indexed supplier,
        uint256 grams,
        uint256 payment,
        uint256 fromMicrograms,
        uint256 toMicrograms,
        string uri
    );
    event ForeignTokenRecovered(address indexed token, address indexed to, uint256 amount);

    /* ERRORS */

    error NotLedger(address caller);
    error NothingToRetire();
    error CertificateMissing();
    error CertificateAlreadyUsed(bytes32 certificateHash);
    error SupplierNotAllowed(address supplier);
    error PaymentAboveHeld(uint256 payment, uint256 held);
    error PaymentAbovePrice(uint256 payment, uint256 max);
    error RetiresMoreThanPaidFor(uint256 micrograms, uint256 available);
    error TransferShort(address to, uint256 expected, uint256 received);
    /// @dev Thrown by SafeTransferLib, in assembly: named here so that the ABI can decode it.
    error TransferFailed();
    error NotForeign(address token);

    /// @dev The caller becomes the ledger: only ever deployed from RewardsLedger's constructor.
    constructor(address authority, address token, PolicyRegistry registry) AccessManaged(authority) {
        TOKEN = token;
        REGISTRY = registry;
        LEDGER = RewardsLedger(msg.sender);
    }

    /* LEDGER */

    /// @notice Records the carve-out and the residual of an activated epoch.
    /// @dev The ledger has already moved `amount` here and checked that it arrived whole. Called for every epoch,
    /// with zeros too: a gap in the running sums would misplace what follows.
    /// What the wei pay for is the formula's: amount · 10¹² // price, at most what is owed and not yet paid for; the
    /// rest of what is owed is the liability that the cap left unpaid.
    function recordCarbon(uint64 epoch, uint96 amount, uint128 residualMicrograms) external {
        if (msg.sender != address(LEDGER)) revert NotLedger(msg.sender);
        RunningSum memory sum;
        if (epoch != 0) sum = _through[epoch - 1];
        // Fits: the ledger refuses a header with more than 72 bits.
        sum.owedMicrograms += uint80(residualMicrograms);
        sum.received += amount;
        uint256 paidMore;
        if (amount != 0) {
            paidMore = amount * MICROGRAMS_PER_TONNE / REGISTRY.carbonPriceAt(epoch);
            uint256 open = sum.owedMicrograms - sum.paidForMicrograms;
            if (paidMore > open) paidMore = open;
            sum.paidForMicrograms += uint80(paidMore);
        }
        _through[epoch] = sum;
        emit CarbonReceived(epoch, amount, residualMicrograms, paidMore);
    }

    /* RETIREMENTS */

    /// @notice Pays `supplier` for the retirement of `grams` and records it against the oldest epochs.
    /// @dev At most twice the governed price of the current epoch: real prices differ from it, a stolen RETIRER key
    /// must not empty the vault for a gram. Never more than was paid for: wei that were carved out for the µg of one
    /// epoch cannot be spent on µg nobody owes.
    function retire(uint256 grams, uint256 payment, address supplier, bytes32 certificateHash, string calldata uri)
        external
        restricted
    {
        // Check
        if (grams == 0) revert NothingToRetire();
        if (certificateHash == 0) revert CertificateMissing();
        if (certificateUsed[certificateHash]) revert CertificateAlreadyUsed(certificateHash);
        if (supplier == address(0) || supplier == address(this)) revert SupplierNotAllowed(supplier);
        uint256 holds = held();
        if (payment > holds) revert PaymentAboveHeld(payment, holds);
        uint256 from = _retired;
        uint256 available = paidFor() - from;
        // Compared in grams, so that a huge number is refused by name and not by an overflow.
        if (grams > available / MICROGRAMS_PER_GRAM) revert RetiresMoreThanPaidFor(grams, available);
        uint256 max = 2 * grams * REGISTRY.carbonPriceAt(REGISTRY.currentEpoch()) / GRAMS_PER_TONNE;
        if (payment > max) revert PaymentAbovePrice(payment, max);

        // Effect
        uint256 to = from + grams * MICROGRAMS_PER_GRAM;
        // Both fit: `to` is at most what was paid for, `payment` at most what is held.
        _retired = uint128(to);
        _spent += uint96(payment);
        certificateUsed[certificateHash] = true;
        emit CarbonRetired(certificateHash, supplier, grams, payment, from, to, uri);

        // Interaction
        if (payment != 0) {
            uint256 before = TOKEN.balanceOf(supplier);
            TOKEN.safeTransfer(supplier, payment);
            uint256 balance = TOKEN.balanceOf(supplier);
            uint256 arrived = balance > before ? balance - before : 0;
            if (arrived != payment) revert TransferShort(supplier, payment, arrived);
        }
    }

    /// @notice Sends on a token that was sent here by mistake; never the token the carve-out is held in.
    function recoverForeign(address token, address to, uint256 amount) external restricted {
        if (token == TOKEN) revert NotForeign(token);
        emit ForeignTokenRecovered(token, to, amount);
        token.safeTransfer(to, amount);
    }

    /* VIEWS */

    /// @notice Wei of carve-outs received from the ledger.
    function received() public view returns (uint256) {
        return _last().received;
    }

    /// @notice Wei paid to suppliers.
    function spent() public view returns (uint256) {
        return _spent;
    }

    /// @notice Wei left for retirements. What others sent here does not count, so nobody can disturb the books.
    function held() public view returns (uint256) {
        return _last().received - _spent;
    }

    /// @notice Sum of the epochs' residual µg CO2e.
    function owed() public view returns (uint256) {
        return _last().owedMicrograms;
    }

    /// @notice µg CO2e the carve-outs paid for, retired or not.
    function paidFor() public view returns (uint256) {
        return _last().paidForMicrograms;
    }

    /// @notice µg CO2e retired.
    function retired() public view returns (uint256) {
        return _retired;
    }

    /// @notice One epoch's figures as of now; all zero for an epoch not recorded yet.
    function carbonOf(uint64 epoch) external view returns (EpochCarbon memory) {
        if (epoch >= LEDGER.nextEpoch()) return EpochCarbon(0, 0, 0, 0);
        RunningSum memory before;
        if (epoch != 0) before = _through[epoch - 1];
        RunningSum memory sum = _through[epoch];
        return EpochCarbon({
            received: sum.received - before.received,
            owedMicrograms: sum.owedMicrograms - before.owedMicrograms,
            paidForMicrograms: _covered(paidFor(), before.owedMicrograms, sum.owedMicrograms),
            retiredMicrograms: _covered(_retired, before.owedMicrograms, sum.owedMicrograms)
        });
    }

    /// @notice Sum of the residual µg CO2e of all epochs up to and including `epoch`; of all there are, past the last.
    function owedThrough(uint64 epoch) external view returns (uint256) {
        return epoch < LEDGER.nextEpoch() ? _through[epoch].owedMicrograms : owed();
    }

    /// @dev How much of [from, to) lies below `position`.
    function _covered(uint256 position, uint256 from, uint256 to) private pure returns (uint256) {
        if (position <= from) return 0;
        return (position < to ? position : to) - from;
    }

    function _last() private view returns (RunningSum memory sum) {
        uint256 next = LEDGER.nextEpoch();
        if (next != 0) sum = _through[next - 1];
    }
}
