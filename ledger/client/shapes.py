"""The shapes of the API's answers, as typed dictionaries.

Written by scripts/client_routes.py from the API's OpenAPI document; not by hand.
"""

from typing import Any, Literal, TypedDict

Asset = Literal["ATH", "UGCO2E"]
Chain = Literal["seal", "log"]
EntryKind = Literal["policy", "seal", "reversal", "correction", "activation", "claim", "retirement", "suspense"]
EpochState = Literal["open", "frozen", "computed", "sealed", "proposed", "active", "final", "revoked", "halted"]
Health = Literal["ok", "warning", "failed", "skipped"]
SchemaName = Literal["uptime", "energy", "renewable", "grid"]
SubmissionState = Literal["received", "admitted", "refused"]
TransferCode = Literal[
    "budget",
    "rollover-in",
    "base",
    "efficiency",
    "green",
    "carbon",
    "reserve",
    "rollover-out",
    "residual",
    "paid-for",
    "activate",
    "claim",
    "retire",
    "correction",
    "reversal",
    "suspense",
]


class AccountRow(TypedDict):
    """One account: what it was debited and credited in all. A balance is credits − debits."""

    account: str
    asset: "Asset"
    rule: str
    debits: str
    credits: str
    balance: str


class Alive(TypedDict):
    """The process that answers."""

    live: bool
    version: str
    pid: int
    up_seconds: int


class Allocation(TypedDict):
    """What one operator earned in the epoch, and its cumulative amount in the epoch's tree."""

    operator: str
    nodes: int
    payout_wei: str
    base_wei: str
    efficiency_wei: str
    green_wei: str
    amount_wei: str | None
    state: "EpochState"


class AssetTotal(TypedDict):
    """One asset's sums over all accounts: the same on both sides."""

    asset: "Asset"
    debits: str
    credits: str
    balance: str


class Batch(TypedDict):
    """What became of a batch. A batch refused at the door has the members up to `received` and the code."""

    uid: str
    standing: str
    epoch: int | None
    received: str
    epoch_state: str | None
    schema: str | None
    verifier: str | None
    sequence: int | None
    revocations: list[str] | None
    verdict: str | None
    code: str | None
    detail: str | None
    remedy: str | None
    records_refused: dict[str, int] | None
    refused: "list[RefusedRecord] | None"


class BatchRow(TypedDict):
    """One admitted batch."""

    arrival: int
    uid: str
    schema: str
    epoch: int | None
    verifier: str
    sequence: int | None
    received: str


class CarbonReport(TypedDict):
    """Energy, carbon both ways, certificates, coverage, retirements, intensity, rewards and controls."""

    format: str
    title: str
    period: str
    headline: list[str]
    facts: dict[str, str]
    sections: "list[Section]"


class CarveOuts(TypedDict):
    """The epoch's budget and where it went."""

    epoch: int
    budget_wei: str
    rollover_in_wei: str
    reserve_wei: str
    carbon_wei: str
    pool_wei: str
    payout_wei: str
    rollover_out_wei: str
    sum_weight: int | str
    left_over_wei: str
    location_ug: int | str
    residual_ug: int | str
    carried_in_ug: int | str
    carried_out_ug: int | str


class CertificateClaim(TypedDict):
    """One claim on a certificate: what was claimed, credited, refused and why."""

    epoch: int
    registry: str
    issuance: str
    range_start: int | str
    range_end: int | str
    claimed_wh: int | str
    credited_wh: int | str
    verdict: str
    why: str
    tier: int
    source: str
    device: str
    device_capacity_w: int | str
    zone: str
    produced: str
    consumption_hour: str
    node: str
    beneficiary: str
    cancelled: str
    cancellation: str
    batch: str
    record: int


class ChainStanding(TypedDict):
    """How far the books have followed the chain."""

    chain_id: int
    genesis_hash: str
    contracts: dict[str, str]
    finality_depth: int
    ledger_genesis: str
    epoch_seconds: int
    window_seconds: int
    final_block: int | None
    final_hash: str | None
    final_at: str | None
    head_block: int | None
    reorgs: int
    reorgs_below_final: int
    transactions: dict[str, int]


class Change(TypedDict):
    """One figure against the epoch before."""

    figure: str
    before: str
    now: str
    change: str


class CheckFound(TypedDict):
    """One part that was looked at."""

    check: str
    health: "Health"
    code: str
    found: str
    next: str


class ClaimRow(TypedDict):
    """One withdrawal that is in the books."""

    amount_wei: str
    cumulative_wei: str
    payee: str
    block: int
    transaction: str


class Column(TypedDict):
    """One column of a table."""

    name: str
    heading: str
    unit: str


class ContractsNow(TypedDict):
    """What the contracts hold and wait for, at the chain's head."""

    final_block: int | None
    running_epoch: int | None
    genesis: int
    next_epoch: int
    pending_header: str | None
    activates_at: int | None
    proposals_open: bool
    claims_paused: bool
    rollover_wei: str
    claimable_balance_wei: str
    vault_balance_wei: str
    reserve_balance_wei: str
    treasury_balance_wei: str
    treasury_allowance_wei: str


class DoorRefusalRow(TypedDict):
    """One submission that was refused at the door."""

    number: int
    uid: str | None
    kind: str
    signer: str | None
    epoch: int | None
    code: str
    detail: str
    remedy: str
    received: str


class Entry(TypedDict):
    """One entry with its body as hashed; the members depend on its kind."""

    seq: int
    chain: "Chain"
    number: int
    key: str
    kind: "EntryKind"
    effective_at: int
    recorded_at: int
    previous_hash: str
    hash: str
    transfers: int
    body: dict[str, Any]


class EntryRow(TypedDict):
    """One entry. Both chains are numbered without gaps; `seq` is its place over both, in this ledger."""

    seq: int
    chain: "Chain"
    number: int
    key: str
    kind: "EntryKind"
    effective_at: int
    recorded_at: int
    previous_hash: str
    hash: str
    transfers: int


class Epoch(TypedDict):
    """One epoch whole, but for its transitions."""

    epoch: int
    day: str
    state: "EpochState"
    attempt: int
    payout_wei: str | None
    carbon_wei: str | None
    reserve_wei: str | None
    rollover_wei: str | None
    starts: str
    ends: str
    cut_off: str
    reason: str
    transactions: "list[Transaction]"
    verdicts: dict[str, int]
    refused_at_the_door: dict[str, int]
    files: list[str]


class EpochRow(TypedDict):
    """One epoch. Totals are null until it is computed."""

    epoch: int
    day: str
    state: "EpochState"
    attempt: int
    payout_wei: str | None
    carbon_wei: str | None
    reserve_wei: str | None
    rollover_wei: str | None


class Explanation(TypedDict):
    """Why one node was paid what it was paid in one epoch."""

    epoch: int
    state: "EpochState"
    attempt: int
    node: str
    operator: str
    model: str
    gpu_count: int
    zone: str
    country: str
    pay_wei: str
    lines: "list[Line]"
    policy: "GoverningPolicy"
    factors: "list[Factor]"
    share: "Share"
    carve_outs: "CarveOuts"
    registration: str | None
    batches: "list[UsedBatch]"
    refused: "list[RefusedThing]"
    nearest_missed: "Missed | None"
    missed: "list[Missed]"
    missed_together_wei: str | None
    low_efficiency_wei: str
    before: "list[Change]"
    statement: "Statement"


class Factor(TypedDict):
    """One factor with the numbers that went in."""

    symbol: str
    name: str
    value: str
    unit: str
    rule: str
    formula: str
    inputs: dict[str, int | str]
    policy_version: int


class GoverningPolicy(TypedDict):
    """What the epoch was computed under."""

    version: int
    effective_epoch: int
    policy_hash: str
    tables_hash: str
    rules_version: str


class HistoryRow(TypedDict):
    """What an operator earned in one epoch."""

    epoch: int
    days: str
    state: "EpochState"
    nodes: int
    payout_wei: str
    base_wei: str
    efficiency_wei: str
    green_wei: str


class KindTotal(TypedDict):
    """One kind of accounts' sums; `operator/*/payable` stands for every operator's."""

    kind: str
    asset: "Asset"
    debits: str
    credits: str
    balance: str


class Line(TypedDict):
    """One part of the payout."""

    line: str
    amount_wei: str
    rule: str


class Missed(TypedDict):
    """One threshold that was missed, and what that cost."""

    name: str
    rule: str
    has: int | str
    needs: int | str
    unit: str
    cost_wei: str | None
    changes: dict[str, int | str]
    sentence: str


class NextPlace(TypedDict):
    """Where the verifier's next batch of a schema goes."""

    epoch: int
    schema: str
    sequence: int
    previous_batch: str


class Node(TypedDict):
    """One node as its last registration has it, with all of them and what the last epochs paid."""

    node_id: str
    operator: str
    model: str
    zone: str
    country: str
    gpus: int
    nameplate_w: int
    valid_from: str
    valid_to: str
    sequence: int
    serial: str
    gpu_ids: list[str]
    registrations: "list[NodeRegistrationRow]"
    payouts: "list[NodePayout]"


class NodePayout(TypedDict):
    """What one epoch paid for a node."""

    epoch: int
    payout_wei: str


class NodeRegistrationRow(TypedDict):
    """One registration of a node."""

    uid: str
    sequence: int
    valid_from: str
    valid_to: str


class NodeRow(TypedDict):
    """One node that an epoch counted."""

    node_id: str
    operator: str
    model: str
    zone: str
    country: str
    gpus: int
    payout_wei: str


class Operator(TypedDict):
    """One operator, with the proof of its amount in the last final epoch's tree."""

    operator: str
    pending_wei: str
    amount_wei: str
    claimed_wei: str
    claimable_wei: str
    root: str | None
    proofs: list[str]


class OperatorRow(TypedDict):
    """One operator's rewards: pending (in no root yet), amount (cumulative, in a root), claimed, claimable."""

    operator: str
    pending_wei: str
    amount_wei: str
    claimed_wei: str
    claimable_wei: str


class PayoutRow(TypedDict):
    """One epoch's payout to an operator: when it is due, whether it is late, what it waits for."""

    epoch: int
    state: "EpochState"
    due: str
    standing: str
    is_late: bool
    why: str
    payout_wei: str | None


class Policy(TypedDict):
    """One policy with every parameter, under the names of the rewards spec (R5.1)."""

    version: int
    effective_epoch: int
    standing: str
    hash: str
    block: int
    changes: str
    epochBudgetWei: int | str
    reserveBps: int
    carbonCapBps: int
    carbonPriceWeiPerTonne: int | str
    uMinPpm: int
    uFullPpm: int
    kEffBps: int
    sClampPpm: int
    pueRefE4: int
    gMatchBps: int
    t2QualityBps: int
    gGridBps: int
    refEfMgPerKwh: int
    maxMultPpm: int
    quorumQ: int
    quorumK: int
    countNuclear: bool
    tablesHash: str


class PolicyRow(TypedDict):
    """One policy, as it stands now."""

    version: int
    effective_epoch: int
    standing: str
    hash: str
    block: int
    changes: str


class Problem(TypedDict):
    """A refusal or a failure (RFC 9457). `code` is stable: program against it, not against the sentences."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    hint: str
    errors: list[dict[str, str]] | None


class Proof(TypedDict):
    """An operator's leaf in a claim tree, as the contract and any claimer of a Merkle distributor take it."""

    account: str
    amount: str
    proof: list[str]
    root: str
    epoch: int
    state: "EpochState"
    contract: str
    chain_id: int


class Ratio(TypedDict):
    """An exact ratio, and how a person reads it."""

    numerator: str
    denominator: str
    text: str


class Readiness(TypedDict):
    """Whether questions can be answered rightly now; degraded: somebody should know something all the same."""

    ready: bool
    degraded: bool
    checks: "list[CheckFound]"


class RefusedRecord(TypedDict):
    """One record that does not count, or is noted."""

    record: int
    code: str
    detail: str


class RefusedThing(TypedDict):
    """One thing that did not count, or not as sent."""

    scope: str
    code: str
    item: str | None
    verifier: str | None
    where: str
    detail: str
    meaning: str
    remedy: str


class RegistrationRow(TypedDict):
    """One registration as its operator signed it."""

    arrival: int
    uid: str
    node_id: str
    operator: str
    model: str
    zone: str
    country: str
    gpus: int
    nameplate_w: int
    valid_from: str
    valid_to: str
    sequence: int
    received: str


class RoleRow(TypedDict):
    """One verifier's role for one schema, as it was set."""

    order: int
    schema: str
    verifier: str
    affiliation: str
    from_epoch: int
    until_epoch: int | None
    registries: str


class Section(TypedDict):
    """One section, by the number of its rule."""

    rule: str
    title: str
    sentences: list[str]
    tables: "list[Table]"


class SentBatches(TypedDict):
    """How many batches of a schema were admitted into an epoch."""

    epoch: int
    schema: str
    batches: int


class Share(TypedDict):
    """The node's part of the pool."""

    weight: str
    sum_weight: str
    share_ppm: int
    rounding_wei: str


class StandingShape(TypedDict):
    """Which state of the ledger the answer speaks of."""

    epoch: int | None
    seq: int
    block: int | None
    head: str


class Statement(TypedDict):
    """Why one node was paid what it was paid: counts, energy, factors, lines in wei (rewards spec R4)."""

    node_id: str
    operator: str
    model: str
    zone: str
    country: str
    gpu_count: int | str
    capacity_passes: int | str
    capacity_fails: int | str
    hours_resolved: int | str
    hours_unresolved: int | str
    hours_unobserved: int | str
    up_minutes: int | str
    expected_minutes: int | str
    hours_metered: int | str
    hours_charged: int | str
    hours_implausible: int | str
    hours_disputed: int | str
    it_wh: int | str
    water_ml: int | str
    ref_e4: int | str
    act_e4: int | str
    load_wh: int | str
    m1_wh: int | str
    m2_wh: int | str
    tier1_wh: int | str
    tier2_wh: int | str
    avg_ef_mg: int | str
    capacity: int | str
    u_ppm: int | str
    uptime: int | str
    s_ppm: int | str
    efficiency: int | str
    match_ppm: int | str
    grid_ppm: int | str
    green: int | str
    multiplier: int | str
    weight: int | str
    location_ug: int | str
    residual_ug: int | str
    reasons: str
    pay_wei: str
    base_wei: str
    efficiency_wei: str
    green_wei: str


class SubmissionFact(TypedDict):
    """Some content that was handed in, and what became of it. Until it is judged all below `state` is empty."""

    digest: str
    size: int
    received: str
    state: "SubmissionState"
    uid: str | None
    kind: str
    epoch: int | None
    code: str
    detail: str
    remedy: str
    judged: str | None


class Table(TypedDict):
    """One table; quantities are decimal strings in the unit of their column."""

    name: str
    title: str
    columns: "list[Column]"
    rows: "list[dict[str, str | int | Ratio | None]]"
    note: str
    attribution: str


class Transaction(TypedDict):
    """One effect on chain that the epoch planned."""

    key: str
    state: str
    nonce: int
    transaction: str | None
    block: int | None


class TransactionRow(TypedDict):
    """One effect on chain: one key, one nonce, for ever."""

    sender: str
    nonce: int
    key: str
    to: str
    state: str
    transaction: str | None
    block: int | None
    detail: str


class TransferRow(TypedDict):
    """One debit and one credit. Amounts are wei in ATH and micrograms in UGCO2E."""

    seq: int
    line: int
    key: str
    debit: str
    credit: str
    asset: "Asset"
    amount: str
    code: "TransferCode"


class Transition(TypedDict):
    """One transition, with the facts it was decided on; their members depend on the state entered."""

    number: int
    state: "EpochState"
    attempt: int
    at: str
    reason: str
    facts: dict[str, Any]


class TrialBalance(TypedDict):
    """All transfers up to an entry, replayed: totals by asset and by kind of account, and whatever is wrong."""

    seq: int
    accounts: int
    is_balanced: bool
    violations: list[str]
    totals: "list[AssetTotal]"
    kinds: "list[KindTotal]"


class UsedBatch(TypedDict):
    """One batch with records about the node, or its zone, and what became of it."""

    uid: str
    schema: str
    verifier: str
    verdict: str
    records: list[int]
    counted: int
    says: dict[str, int | str]


class UsedRange(TypedDict):
    """Wh of one issuance that were credited; each counts once, for ever."""

    registry: str
    issuance: str
    range_start: int | str
    range_end: int | str
    used_wh: int | str


class VaultRow(TypedDict):
    """One epoch in the carbon vault, on chain and in the books; what is covered covers the oldest epochs first."""

    epoch: int
    received_wei_chain: str
    received_wei_books: str
    owed_ug_chain: str
    owed_ug_books: str
    paid_for_ug_chain: str
    paid_for_ug_books: str
    retired_ug_chain: str
    retired_ug_books: str
    price_wei_per_tonne: str
    cap_wei: str
    carried_ug: str


class Verifier(TypedDict):
    """One verifier: its roles, what it sent."""

    verifier: str
    roles: "list[RoleRow]"
    batches: "list[SentBatches]"
