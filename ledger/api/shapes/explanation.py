"""An explanation as JSON: the members of `explanation_document`."""

from pydantic import Field

from ledger.api.answering import Shape
from ledger.api.shapes.statement import Statement
from ledger.api.words import AddressShown, Count, HashShown, Integer, IntegerText, WeiText
from ledger.model.epoch import EpochState


class Line(Shape):
    """One part of the payout."""

    line: str
    amount_wei: WeiText
    rule: str


class GoverningPolicy(Shape):
    """What the epoch was computed under."""

    version: int
    effective_epoch: int
    policy_hash: HashShown
    tables_hash: HashShown
    rules_version: str


class Factor(Shape):
    """One factor with the numbers that went in."""

    symbol: str
    name: str
    value: IntegerText
    unit: str
    rule: str
    formula: str
    inputs: dict[str, Integer]
    policy_version: int


class Share(Shape):
    """The node's part of the pool."""

    weight: IntegerText
    sum_weight: IntegerText
    share_ppm: Count
    rounding_wei: WeiText


class CarveOuts(Shape):
    """The epoch's budget and where it went."""

    epoch: Count
    budget_wei: WeiText
    rollover_in_wei: WeiText
    reserve_wei: WeiText
    carbon_wei: WeiText
    pool_wei: WeiText
    payout_wei: WeiText
    rollover_out_wei: WeiText
    sum_weight: Integer
    left_over_wei: WeiText
    location_ug: Integer
    residual_ug: Integer
    carried_in_ug: Integer
    carried_out_ug: Integer


class UsedBatch(Shape):
    """One batch with records about the node, or its zone, and what became of it."""

    uid: HashShown
    schema_: str = Field(alias="schema")
    verifier: AddressShown
    verdict: str = Field(description="`accepted`, or the code that refused the whole batch")
    records: list[int]
    counted: int
    says: dict[str, Integer | str]


class RefusedThing(Shape):
    """One thing that did not count, or not as sent."""

    scope: str
    code: str
    item: HashShown | None
    verifier: AddressShown | None
    where: str
    detail: str
    meaning: str
    remedy: str


class Missed(Shape):
    """One threshold that was missed, and what that cost."""

    name: str
    rule: str
    has: Integer
    needs: Integer
    unit: str
    cost_wei: WeiText | None
    changes: dict[str, Integer]
    sentence: str


class Change(Shape):
    """One figure against the epoch before."""

    figure: str
    before: IntegerText
    now: IntegerText
    change: IntegerText


class Explanation(Shape):
    """Why one node was paid what it was paid in one epoch."""

    epoch: Count
    state: EpochState
    attempt: int
    node: HashShown
    operator: AddressShown
    model: str
    gpu_count: int
    zone: str
    country: str
    pay_wei: WeiText
    lines: list[Line]
    policy: GoverningPolicy
    factors: list[Factor]
    share: Share
    carve_outs: CarveOuts
    registration: HashShown | None
    batches: list[UsedBatch]
    refused: list[RefusedThing]
    nearest_missed: Missed | None
    missed: list[Missed]
    missed_together_wei: WeiText | None
    low_efficiency_wei: WeiText
    before: list[Change]
    statement: Statement  # type: ignore[valid-type]
