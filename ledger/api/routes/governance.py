"""Policies, past, in force and scheduled; and the register of certificates."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request, Response

from ledger.api.answering import Found, Shape, fact, listing
from ledger.api.desk import Desk, slowly
from ledger.api.paging import Page, Paged, slice_page
from ledger.api.parameters import EpochFilter, HashText, Positive
from ledger.api.problems import CursorInvalidError
from ledger.api.routing import fact_route, list_route
from ledger.api.words import AddressShown, Count, HashShown, Integer
from ledger.model.units import EpochNumber
from ledger.steps.answers.certificate_register import register_page
from ledger.steps.answers.explain import last_computed
from ledger.steps.answers.final_standing import finality_of
from ledger.steps.answers.policies import followed_policies, policy_fact, policy_rows
from ledger.steps.answers.standing import LedgerStanding
from ledger.steps.reporting.certificate_use import certificate_use

router: Final = APIRouter()


class PolicyRow(Shape):
    """One policy, as it stands now."""

    version: Count
    effective_epoch: int
    standing: str
    hash: HashShown
    block: Count
    changes: str


class Policy(PolicyRow):
    """One policy with every parameter, under the names of the rewards spec (R5.1)."""

    epochBudgetWei: Integer  # noqa: N815 - the spec's names
    reserveBps: int  # noqa: N815
    carbonCapBps: int  # noqa: N815
    carbonPriceWeiPerTonne: Integer  # noqa: N815
    uMinPpm: int  # noqa: N815
    uFullPpm: int  # noqa: N815
    kEffBps: int  # noqa: N815
    sClampPpm: int  # noqa: N815
    pueRefE4: int  # noqa: N815
    gMatchBps: int  # noqa: N815
    t2QualityBps: int  # noqa: N815
    gGridBps: int  # noqa: N815
    refEfMgPerKwh: int  # noqa: N815
    maxMultPpm: int  # noqa: N815
    quorumQ: int  # noqa: N815
    quorumK: int  # noqa: N815
    countNuclear: bool  # noqa: N815
    tablesHash: HashShown  # noqa: N815


class UsedRange(Shape):
    """Wh of one issuance that were credited; each counts once, for ever."""

    registry: HashShown
    issuance: HashShown
    range_start: Integer
    range_end: Integer
    used_wh: Integer


class CertificateClaim(Shape):
    """One claim on a certificate: what was claimed, credited, refused and why."""

    epoch: Count
    registry: HashShown
    issuance: HashShown
    range_start: Integer
    range_end: Integer
    claimed_wh: Integer
    credited_wh: Integer
    verdict: str
    why: str
    tier: int
    source: str
    device: HashShown
    device_capacity_w: Integer
    zone: str
    produced: str
    consumption_hour: str
    node: HashShown
    beneficiary: AddressShown
    cancelled: str
    cancellation: HashShown
    batch: HashShown
    record: int


async def list_policies(request: Request, paging: Paged) -> Response:
    """Every policy announced up to the last final block, by version: in force, scheduled, past or cancelled."""

    def ask(desk: Desk) -> Page:
        rows = policy_rows(*followed_policies(desk.ledger, desk.deployment))
        return slice_page(rows, lambda row: (row["version"],), paging.after(int), paging.limit)

    return await listing(request, paging, PolicyRow, ask)


async def show_policy(
    request: Request, version: Annotated[Positive, Path(description="the policy's version")]
) -> Response:
    """One policy with every parameter, and what it changes."""

    def ask(desk: Desk) -> Found:
        known, epoch = followed_policies(desk.ledger, desk.deployment)
        return Found(policy_fact(known, epoch, version))

    return await fact(request, ask)


async def list_certificates(
    request: Request,
    paging: Paged,
    epoch: Annotated[EpochFilter, Query(description="as of this epoch; default: the last computed one")] = None,
    registry: Annotated[HashText | None, Query(description="only of this registry")] = None,
) -> Response:
    """The register of used certificates as an epoch left it, by registry, issuance and first Wh."""

    def ask(desk: Desk) -> tuple[Page, LedgerStanding | None]:
        key = paging.after(int, int, int)
        number = epoch if epoch is not None else EpochNumber(int(key[0])) if key else last_computed(desk.ledger)
        offset = int(key[2]) if key else 0
        found = register_page(desk.ledger, number, offset=offset, limit=paging.limit + 1, registry=registry)
        if key is not None and (int(key[0]), int(key[1])) != (number, found.attempt):
            raise CursorInvalidError(f"epoch {number} was computed again: this page belongs to another attempt")
        follows = (number, found.attempt, offset + paging.limit) if len(found.rows) > paging.limit else None
        final = finality_of(desk.ledger, number).standing if epoch is not None else None
        return Page(found.rows[: paging.limit], follows), final

    return await listing(request, paging, UsedRange, ask, way=slowly)


async def list_certificate_claims(
    request: Request,
    paging: Paged,
    issuance: Annotated[
        str, Path(pattern=r"^0x[0-9a-fA-F]{1,64}$", description="the issuance, or enough of its digits to name one")
    ],
) -> Response:
    """One certificate's whole use: every claim on it, what was credited, what was refused and why."""

    def ask(desk: Desk) -> Page:
        rows = certificate_use(desk.ledger, issuance)
        key = paging.after(int)
        begin = 0 if key is None else max(0, int(key[0]))
        follows = (begin + paging.limit,) if len(rows) > begin + paging.limit else None
        return Page(rows[begin : begin + paging.limit], follows)

    return await listing(request, paging, CertificateClaim, ask, way=slowly)


list_route(router, "/policies", list_policies, PolicyRow)
fact_route(router, "/policies/{version}", show_policy, Policy)
list_route(router, "/certificates", list_certificates, UsedRange, None, 404)
list_route(router, "/certificates/{issuance}/claims", list_certificate_claims, CertificateClaim, None, 404)
