// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {Policy, PolicyBounds} from "./Policy.sol";

/// @notice One entry of a verifier's role for one schema.
/// @param affiliation The operator the verifier belongs to, or 0.
/// @param fromEpoch First epoch the entry speaks about.
/// @param untilEpoch Last epoch the role is held, inclusive; below `fromEpoch` the entry ends the role.
/// @param registryIds Certificate registries the verifier speaks for; empty for all other schemas.
struct VerifierRole {
    address affiliation;
    uint64 fromEpoch;
    uint64 untilEpoch;
    bytes32[] registryIds;
}

/// @title PolicyRegistry
/// @notice Which policy and which verifiers count in an epoch, announced before that epoch and never changed after.
/// @dev Owns the ledger's calendar: RewardsLedger copies GENESIS and EPOCH_LENGTH from here when it is deployed.
/// Who may call what, and after which delay, is the AccessManager's; this contract enforces bounds and notice, which
/// no delay setting can shorten.
contract PolicyRegistry is AccessManaged {
    /* IMMUTABLES */

    /// @notice Start of epoch 0, Unix seconds; a whole hour.
    uint64 public immutable GENESIS;
    /// @notice Seconds of an epoch; whole hours, at most 168.
    uint64 public immutable EPOCH_LENGTH;

    uint64 private constant HOUR = 3600;
    uint64 private constant MAX_EPOCH_LENGTH = 168 * HOUR;
    /// @dev Epochs between the one in which a policy is scheduled and the first it may govern.
    uint256 private constant NOTICE_EPOCHS = 2;

    /* STORAGE */

    struct Scheduled {
        uint64 effectiveEpoch;
        uint64 version;
        bytes32 hash;
        Policy policy;
    }

    /// @dev Where the list ends; one slot, enough to answer for every epoch from the latest policy on.
    struct Latest {
        uint64 count;
        uint64 effectiveEpoch;
        uint64 lastVersion;
    }

    /// @dev At 0 … count − 1, strictly ascending in effectiveEpoch, so the policy of an epoch is found by bisection.
    mapping(uint256 index => Scheduled) private _scheduled;
    Latest private _latest;

    mapping(bytes32 schemaId => mapping(address verifier => VerifierRole[] roles)) private _verifierRoles;

    /* EVENTS */

    event PolicyScheduled(uint64 indexed version, uint64 indexed effectiveEpoch, bytes32 hash, Policy policy);
    event PolicyCancelled(uint64 indexed version, uint64 indexed effectiveEpoch, bytes32 hash);
    /// @notice Enough to rebuild every role from logs, in the order of the logs.
    event VerifierSet(
        bytes32 indexed schemaId,
        address indexed verifier,
        address affiliation,
        bytes32[] registryIds,
        uint64 fromEpoch,
        uint64 untilEpoch
    );

    /* ERRORS */

    error NotWholeHours(uint256 seconds_);
    error EpochLengthOutOfBounds(uint256 epochLength, uint256 max);
    error GenesisPassed(uint256 genesis, uint256 timestamp);
    /// @notice The first policy governs epoch 0 and is scheduled before GENESIS; nothing else could pay epoch 0.
    error FirstPolicyMustBeAtGenesis(uint256 effectiveEpoch, uint256 genesis, uint256 timestamp);
    error NoticeTooShort(uint256 effectiveEpoch, uint256 earliest);
    error NotAfterLatest(uint256 effectiveEpoch, uint256 latest);
    error NotScheduled(uint256 effectiveEpoch);
    error AlreadyEffective(uint256 effectiveEpoch, uint256 startsAt, uint256 timestamp);
    error FirstPolicyStands();
    error NoPolicy(uint256 epoch);
    error VerifierIsZero();
    error VerifierChangeTooEarly(uint256 fromEpoch, uint256 earliest);

    /// @param authority The AccessManager.
    /// @param genesis Start of epoch 0; must lie in the future, so that the first policy and verifiers can be set.
    /// @param epochLength Seconds of an epoch.
    constructor(address authority, uint64 genesis, uint64 epochLength) AccessManaged(authority) {
        if (genesis % HOUR != 0) revert NotWholeHours(genesis);
        if (epochLength % HOUR != 0) revert NotWholeHours(epochLength);
        if (epochLength == 0 || epochLength > MAX_EPOCH_LENGTH) {
            revert EpochLengthOutOfBounds(epochLength, MAX_EPOCH_LENGTH);
        }
        if (genesis <= block.timestamp) revert GenesisPassed(genesis, block.timestamp);
        GENESIS = genesis;
        EPOCH_LENGTH = epochLength;
    }

    /* POLICIES */

    /// @notice Announces a policy for `effectiveEpoch` and all later epochs.
    /// @dev Notice is measured when this executes, not when an AccessManager operation was scheduled: a proposal has
    /// to name an epoch that is still two ahead after the delay. Steps are measured against the latest scheduled
    /// policy, effective or not, so a row of policies cannot jump further than their steps add up to.
    function schedule(Policy calldata policy, uint64 effectiveEpoch) external restricted returns (uint64 version) {
        // Check
        PolicyBounds.checkBounds(policy);
        Latest memory latest = _latest;
        if (latest.count == 0) {
            if (effectiveEpoch != 0 || block.timestamp >= GENESIS) {
                revert FirstPolicyMustBeAtGenesis(effectiveEpoch, GENESIS, block.timestamp);
            }
        } else {
            uint256 earliest = currentEpoch() + NOTICE_EPOCHS;
            if (effectiveEpoch < earliest) revert NoticeTooShort(effectiveEpoch, earliest);
            if (effectiveEpoch <= latest.effectiveEpoch) {
                revert NotAfterLatest(effectiveEpoch, latest.effectiveEpoch);
            }
            PolicyBounds.checkSteps(_scheduled[latest.count - 1].policy, policy);
        }

        // Effect
        version = latest.lastVersion + 1;
        bytes32 hash = keccak256(abi.encode(policy));
        _scheduled[latest.count] =
            Scheduled({effectiveEpoch: effectiveEpoch, version: version, hash: hash, policy: policy});
        _latest = Latest({count: latest.count + 1, effectiveEpoch: effectiveEpoch, lastVersion: version});
        emit PolicyScheduled(version, effectiveEpoch, hash, policy);
    }

    /// @notice Cancels the policy scheduled for `effectiveEpoch` and every later one.
    /// @dev Later ones go too because their steps were measured from it. Possible until the first second of the epoch:
    /// from then on its policy is settled. The first policy stands even before GENESIS, after which none could take its
    /// place: a stolen guardian key could otherwise end the ledger for good. If a great many are scheduled, cancel from
    /// the end in several calls.
    function cancel(uint64 effectiveEpoch) external restricted {
        uint256 startsAt = epochStart(effectiveEpoch);
        if (block.timestamp >= startsAt) revert AlreadyEffective(effectiveEpoch, startsAt, block.timestamp);
        if (effectiveEpoch == 0) revert FirstPolicyStands();
        Latest memory latest = _latest;
        bool found;
        // Ends at the first policy at the latest: its epoch is 0.
        while (latest.effectiveEpoch >= effectiveEpoch) {
            Scheduled storage entry = _scheduled[--latest.count];
            found = latest.effectiveEpoch == effectiveEpoch;
            emit PolicyCancelled(entry.version, latest.effectiveEpoch, entry.hash);
            delete _scheduled[latest.count];
            latest.effectiveEpoch = _scheduled[latest.count - 1].effectiveEpoch;
        }
        if (!found) revert NotScheduled(effectiveEpoch);
        _latest = latest;
    }

    /// @notice The policy that governs `epoch`; settled once the epoch has begun.
    function policyAt(uint64 epoch) external view returns (Policy memory) {
        return _scheduledAt(epoch).policy;
    }

    /// @notice keccak256(abi.encode(policyAt(epoch))).
    function policyHashAt(uint64 epoch) external view returns (bytes32) {
        return _scheduledAt(epoch).hash;
    }

    /// @notice Version and first epoch of the policy that governs `epoch`.
    function policyVersionAt(uint64 epoch) external view returns (uint64 version, uint64 effectiveEpoch) {
        Scheduled storage entry = _scheduledAt(epoch);
        return (entry.version, entry.effectiveEpoch);
    }

    /// @notice What RewardsLedger checks a header against, in one call and four slots.
    function allocationTermsAt(uint64 epoch)
        external
        view
        returns (bytes32 policyHash, uint256 epochBudgetWei, uint256 reserveBps, uint256 carbonCapBps)
    {
        Scheduled storage entry = _scheduledAt(epoch);
        Policy storage policy = entry.policy;
        return (entry.hash, policy.epochBudgetWei, policy.reserveBps, policy.carbonCapBps);
    }

    /// @notice The governed price of a tonne CO2e in `epoch`, in wei.
    function carbonPriceAt(uint64 epoch) external view returns (uint256) {
        return _scheduledAt(epoch).policy.carbonPriceWeiPerTonne;
    }

    /// @notice First epochs of all policies scheduled and not cancelled, ascending.
    function effectiveEpochs() external view returns (uint64[] memory epochs) {
        epochs = new uint64[](_latest.count);
        for (uint256 i = 0; i < epochs.length; ++i) {
            epochs[i] = _scheduled[i].effectiveEpoch;
        }
    }

    /// @notice Policies ever scheduled, cancelled ones included: a version number is never used twice.
    function lastVersion() external view returns (uint64) {
        return _latest.lastVersion;
    }

    /* VERIFIERS */

    /// @notice Appends an entry to the verifier's role for a schema.
    /// @dev For an epoch the entry with the greatest fromEpoch not after it counts, the later call on a tie. An entry
    /// replaces the earlier ones from its fromEpoch on, also past its own untilEpoch: it does not overlay them.
    function setVerifier(
        bytes32 schemaId,
        address verifier,
        address affiliation,
        bytes32[] calldata registryIds,
        uint64 fromEpoch,
        uint64 untilEpoch
    ) external restricted {
        if (verifier == address(0)) revert VerifierIsZero();
        uint256 earliest = block.timestamp < GENESIS ? 0 : currentEpoch() + 1;
        if (fromEpoch < earliest) revert VerifierChangeTooEarly(fromEpoch, earliest);
        _verifierRoles[schemaId][verifier].push(
            VerifierRole({
                affiliation: affiliation, fromEpoch: fromEpoch, untilEpoch: untilEpoch, registryIds: registryIds
            })
        );
        emit VerifierSet(schemaId, verifier, affiliation, registryIds, fromEpoch, untilEpoch);
    }

    /// @notice Whether the role is held in `epoch`, and the entry that counts for it (empty when there is none).
    function verifierAt(bytes32 schemaId, address verifier, uint64 epoch)
        external
        view
        returns (bool holds, VerifierRole memory role)
    {
        VerifierRole[] storage roles = _verifierRoles[schemaId][verifier];
        bool found;
        for (uint256 i = 0; i < roles.length; ++i) {
            uint64 fromEpoch = roles[i].fromEpoch;
            if (fromEpoch <= epoch && (!found || fromEpoch >= role.fromEpoch)) {
                role = roles[i];
                found = true;
            }
        }
        holds = found && epoch <= role.untilEpoch;
    }

    /// @notice Every entry of the verifier for the schema, in the order in which they were set.
    function verifierRoles(bytes32 schemaId, address verifier) external view returns (VerifierRole[] memory) {
        return _verifierRoles[schemaId][verifier];
    }

    /* CALENDAR */

    /// @notice The epoch that runs now; 0 before GENESIS.
    function currentEpoch() public view returns (uint64) {
        // A timestamp in seconds fits 64 bits for 5·10¹¹ years.
        return block.timestamp < GENESIS ? 0 : (uint64(block.timestamp) - GENESIS) / EPOCH_LENGTH;
    }

    /// @notice First second of `epoch`, which is also the end of the one before.
    function epochStart(uint256 epoch) public view returns (uint256) {
        return GENESIS + epoch * EPOCH_LENGTH;
    }

    /// @dev The last entry whose effectiveEpoch is not after `epoch`.
    function _scheduledAt(uint64 epoch) private view returns (Scheduled storage) {
        Latest memory latest = _latest;
        if (latest.count != 0 && latest.effectiveEpoch <= epoch) return _scheduled[latest.count - 1];
        uint256 low = 0;
        uint256 high = latest.count;
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (_scheduled[middle].effectiveEpoch <= epoch) low = middle + 1;
            else high = middle;
        }
        if (low == 0) revert NoPolicy(epoch);
        return _scheduled[low - 1];
    }
}
