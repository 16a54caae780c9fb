"""A bundle: everything about one epoch in one file that is checked with no database and no network.

The same epoch gives the same bytes on every machine. Its members are canonical JSON, one document or one a line,
so nothing depends on who wrote a Parquet file with what.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from ledger.audit.bundle.error import MemberInvalidError
from ledger.audit.bundle.values import bytes_of, integer
from ledger.audit.epoch_record import EpochRecord
from ledger.audit.seal_chain import ChainedEntry
from ledger.evidence.items.typed_data import Domain
from ledger.model.epoch import EpochCalendar
from ledger.model.header import EpochHeader, Manifest
from ledger.model.policy import Policy, Tables
from ledger.model.units import Address, Hash32, Timestamp
from ledger.tree.keccak import parse_address

BUNDLE_FORMAT: Final = "ath-ledger/bundle/1"
DEPLOYMENT_FORMAT: Final = "ath-ledger-deployment/1"
SETTLING_CONTRACT: Final = "RewardsLedger"

INDEX: Final = "index.json"
"""First in the file: SHA-256 and size of every other member."""
OWN_MEMBERS: Final = (
    "README.md",
    "claims-credited.ndjson",
    "deployment.json",
    "epoch.json",
    "header.json",
    "hours-refused.ndjson",
    "journal.ndjson",
    "manifest.json",
    "policy.json",
    "registrations.ndjson",
    "revocations.ndjson",
    "roles.json",
    "settlement.json",
    "statements.ndjson",
    "tables.json",
    "totals.json",
    "tree.json",
    "verdicts.ndjson",
    "zone-hours.ndjson",
)
"""In every bundle."""
PARENT_MEMBERS: Final = (
    "before/gpu-holders.ndjson",
    "before/header.json",
    "before/manifest.json",
    "before/policy.json",
    "before/seal.json",
    "before/tables.json",
    "before/tree.json",
    "before/used-production.ndjson",
    "before/used-ranges.ndjson",
)
"""What the epoch before left; in every bundle but the first epoch's."""
BATCH_FOLDER: Final = "batches/"
"""One member a batch, `batches/<uid>.ndjson`: its header and signature, then its records in key order."""

_DEPLOYMENT_NUMBERS: Final = ("chainId", "firstBlock", "genesis", "epochLength", "window", "finalityDepth")
_DEPLOYMENT_TEXTS: Final = ("format", "genesisHash", "contracts", "treasury", "reserve", "deployer")


class ContractIdentity(NamedTuple):
    """A contract and the hash of its code."""

    address: Address
    code_hash: Hash32


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerIdentity:
    """Which ledger an epoch belongs to: its deployment document, and what the check needs of it."""

    document: Mapping[str, Any]
    chain_id: int
    genesis_hash: Hash32
    first_block: int
    contracts: Mapping[str, ContractIdentity]
    calendar: EpochCalendar
    window: int
    finality_depth: int
    treasury: Address
    reserve: Address
    deployer: Address

    @property
    def domain(self) -> Domain:
        """What everything in the ledger is signed for (E2.1)."""
        return Domain(chain_id=self.chain_id, verifying_contract=self.contracts[SETTLING_CONTRACT].address)

    @classmethod
    def of(cls, document: Any, where: str) -> "LedgerIdentity":
        """The identity in a deployment document, every member of it read; MemberInvalidError names what is wrong."""
        try:
            if set(document) != {*_DEPLOYMENT_TEXTS, *_DEPLOYMENT_NUMBERS} or document["format"] != DEPLOYMENT_FORMAT:
                raise MemberInvalidError(f"{where} is no deployment document of format {DEPLOYMENT_FORMAT!r}")
            number = {name: integer(document[name], f"{where} · {name}") for name in _DEPLOYMENT_NUMBERS}
            return cls(
                document=document,
                chain_id=number["chainId"],
                genesis_hash=Hash32(bytes_of(document["genesisHash"], 32, f"{where} · genesisHash")),
                first_block=number["firstBlock"],
                contracts=_contracts(document["contracts"], where),
                calendar=EpochCalendar(genesis=Timestamp(number["genesis"]), length=number["epochLength"]),
                window=number["window"],
                finality_depth=number["finalityDepth"],
                treasury=parse_address(document["treasury"]),
                reserve=parse_address(document["reserve"]),
                deployer=parse_address(document["deployer"]),
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise MemberInvalidError(f"{where} is no deployment: {error!r:.200}") from error


def _contracts(document: Mapping[str, Any], where: str) -> dict[str, ContractIdentity]:
    contracts = {
        name: ContractIdentity(
            parse_address(entry["address"]), Hash32(bytes_of(entry["codeHash"], 32, f"{where} · {name}"))
        )
        for name, entry in sorted(document.items())
    }
    if SETTLING_CONTRACT not in contracts:
        raise MemberInvalidError(f"{where} names no {SETTLING_CONTRACT}")
    return contracts


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentProof:
    """Documents of the epoch before that tie what it left to the hash of its header.

    Claim leaves, rollover, carbon liability, used ranges, policy and tables all follow from that hash, which
    stands in this epoch's header and so on chain. GPU holders and the production behind used certificates do not.
    """

    header: EpochHeader
    manifest: Manifest
    policy: Policy
    tables: Tables
    seal_number: int
    seal_previous_hash: Hash32
    seal_canonical: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledAt:
    """Where the chain has an event of the epoch. Nothing hashes it: only the chain can confirm it."""

    block: int
    block_hash: Hash32
    block_time: Timestamp
    transaction: Hash32
    log: int


Settled = Mapping[str, SettledAt | None]
"""`proposed` and `activated`; None for what was not final when the bundle was written."""
SETTLEMENT_EVENTS: Final[Mapping[str, str]] = {"activated": "EpochActivated", "proposed": "EpochProposed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochBundle:
    """One epoch, whole; nothing of it is believed before `verify_bundle`."""

    identity: LedgerIdentity
    record: EpochRecord
    entries: tuple[ChainedEntry, ...]
    """The seal chain after the seal of the epoch before, up to this epoch's seal."""
    before: ParentProof | None
    """None for the first epoch."""
    settled: Settled
