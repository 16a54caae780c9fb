"""The books: entries of both hash chains, transfers, accounts, the trial balance; each also as of a past moment."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import Field

from ledger.api.answering import Found, Shape, fact, listing
from ledger.api.desk import Desk, slowly
from ledger.api.paging import Page, Paged, page_of
from ledger.api.parameters import Natural, Positive, require_order
from ledger.api.routing import fact_route, list_route
from ledger.api.words import Count, HashShown, IntegerText
from ledger.books.accounts import Asset, TransferCode
from ledger.books.posting import Chain, EntryKind
from ledger.db.journal_pages import EntryFilter, TransferFilter
from ledger.model.units import Timestamp
from ledger.steps.answers import journal_pages
from ledger.steps.exporting.moment import position_as_of

router: Final = APIRouter(tags=["books"])
_ACCOUNT: Final = r"^[a-z0-9]{1,12}(/[a-z0-9-]{0,42}){0,2}$"


class EntryRow(Shape):
    """One entry. Both chains are numbered without gaps; `seq` is its place over both, in this ledger."""

    seq: Count
    chain: Chain
    number: Count
    key: str = Field(description="the business key: the same thing is never booked twice")
    kind: EntryKind
    effective_at: Timestamp = Field(description="Unix seconds: the epoch's end, or the block's time")
    recorded_at: Timestamp = Field(description="Unix seconds: when this ledger booked it; in no hash")
    previous_hash: HashShown
    hash: HashShown
    transfers: Count = Field(description="how many it has")


class Entry(EntryRow):
    """One entry with its body as hashed; the members depend on its kind."""

    body: dict[str, Any]


class TransferRow(Shape):
    """One debit and one credit. Amounts are wei in ATH and micrograms in UGCO2E."""

    seq: Count = Field(description="its entry")
    line: Count
    key: str = Field(description="its entry's business key")
    debit: str
    credit: str
    asset: Asset
    amount: IntegerText
    code: TransferCode


class AccountRow(Shape):
    """One account: what it was debited and credited in all. A balance is credits − debits."""

    account: str
    asset: Asset
    rule: str
    debits: IntegerText
    credits: IntegerText
    balance: IntegerText


class AssetTotal(Shape):
    """One asset's sums over all accounts: the same on both sides."""

    asset: Asset
    debits: IntegerText
    credits: IntegerText
    balance: IntegerText


class KindTotal(Shape):
    """One kind of accounts' sums; `operator/*/payable` stands for every operator's."""

    kind: str
    asset: Asset
    debits: IntegerText
    credits: IntegerText
    balance: IntegerText


class TrialBalance(Shape):
    """All transfers up to an entry, replayed: totals by asset and by kind of account, and whatever is wrong."""

    seq: Count
    accounts: Count
    is_balanced: bool
    violations: list[str]
    totals: list[AssetTotal]
    kinds: list[KindTotal]


class Moment:
    """As of when: a position, an epoch or a time; now when none is named."""

    def __init__(
        self,
        as_of: Annotated[Natural | None, Query(description="right after this entry")] = None,
        as_of_epoch: Annotated[Natural | None, Query(description="right after this epoch's seal")] = None,
        as_of_time: Annotated[
            str | None,
            Query(
                max_length=40,
                description="what this ledger had booked by then: ISO 8601 (UTC), or Unix seconds",
                examples=["2023-06-16T00:00:00Z"],
            ),
        ] = None,
    ) -> None:
        self._seq, self._epoch, self._time = as_of, as_of_epoch, as_of_time

    def position(self, desk: Desk) -> int | None:
        """The last entry of that moment; None for now. EntryUnknownError beyond the last one."""
        if self._seq is not None and self._epoch is None and self._time is None:
            journal_pages.require_entry(desk.ledger, self._seq)
        return position_as_of(desk.ledger, seq=self._seq, epoch=self._epoch, time=self._time)


AsOf = Annotated[Moment, Depends()]
First = Annotated[Positive, Query(alias="from", description="from this entry on")]
Last = Annotated[Positive | None, Query(alias="to", description="up to this entry")]
AccountFilter = Annotated[
    str | None,
    Query(
        pattern=_ACCOUNT,
        description="only of this account; of all that begin so where it ends with a slash",
        examples=["operator/0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed/payable", "carbon/"],
    ),
]


async def list_entries(
    request: Request,
    paging: Paged,
    moment: AsOf,
    first: First = 1,
    last: Last = None,
    chain: Annotated[Chain | None, Query(description="only this hash chain")] = None,
    kind: Annotated[EntryKind | None, Query(description="only this kind")] = None,
    key: Annotated[
        str | None, Query(pattern=r"^[a-z0-9/:x-]{1,200}$", description="only the entry with this business key")
    ] = None,
) -> Response:
    """Entries of the journal in order."""
    require_order(first, last, "from … to")

    def ask(desk: Desk) -> Page:
        wanted = EntryFilter(
            first=first,
            last=_earlier(last, moment.position(desk)),
            chain=None if chain is None else chain.value,
            kind=None if kind is None else kind.value,
            key=key,
        )
        after = paging.after(int)
        rows = journal_pages.entries_after(
            desk.ledger, wanted, after=0 if after is None else int(after[0]), limit=paging.limit + 1
        )
        return page_of(rows, lambda row: (row["seq"],), paging.limit)

    return await listing(request, paging, EntryRow, ask)


async def show_entry(
    request: Request, seq: Annotated[Positive, Path(description="its place over both chains")]
) -> Response:
    """One entry with its body as hashed."""
    return await fact(request, lambda desk: Found(journal_pages.entry_fact(desk.ledger, seq)))


async def list_transfers(
    request: Request,
    paging: Paged,
    moment: AsOf,
    first: First = 1,
    last: Last = None,
    account: AccountFilter = None,
    asset: Annotated[Asset | None, Query(description="only of this asset")] = None,
    code: Annotated[TransferCode | None, Query(description="only with this reason")] = None,
) -> Response:
    """Transfers in order: every debit and credit, with its entry."""
    require_order(first, last, "from … to")

    def ask(desk: Desk) -> Page:
        wanted = TransferFilter(
            first=first,
            last=_earlier(last, moment.position(desk)),
            account=account,
            asset=None if asset is None else asset.value,
            code=None if code is None else code.value,
        )
        key = paging.after(int, int)
        after = (0, -1) if key is None else (int(key[0]), int(key[1]))
        rows = journal_pages.transfers_after(desk.ledger, wanted, after=after, limit=paging.limit + 1)
        return page_of(rows, lambda row: (row["seq"], row["line"]), paging.limit)

    return await listing(request, paging, TransferRow, ask, way=slowly)


async def list_accounts(
    request: Request,
    paging: Paged,
    begin: Annotated[str, Query(pattern=_ACCOUNT, description="only accounts whose names begin so")] = "",
) -> Response:
    """Accounts by name, with what they were debited and credited up to now."""

    def ask(desk: Desk) -> Page:
        after = paging.after(str)
        rows = journal_pages.account_rows(
            desk.ledger, after=None if after is None else str(after[0]), limit=paging.limit + 1, begin=begin
        )
        return page_of(rows, lambda row: (row["account"],), paging.limit)

    return await listing(request, paging, AccountRow, ask)


async def show_trial_balance(request: Request, moment: AsOf) -> Response:
    """The trial balance now or as of a moment, replayed from the transfers alone."""

    def ask(desk: Desk) -> Found:
        return Found(journal_pages.balance_totals(desk.ledger, moment.position(desk)))

    return await fact(request, ask, way=slowly)


def _earlier(last: int | None, position: int | None) -> int | None:
    given = [each for each in (last, position) if each is not None]
    return min(given) if given else None


list_route(router, "/journal", list_entries, EntryRow, None, 404)
fact_route(router, "/journal/{seq}", show_entry, Entry)
list_route(router, "/transfers", list_transfers, TransferRow, None, 404)
list_route(router, "/accounts", list_accounts, AccountRow)
fact_route(router, "/trial-balance", show_trial_balance, TrialBalance)
