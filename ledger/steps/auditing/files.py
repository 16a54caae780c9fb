"""Looking at every byte that is kept: evidence against the digests it was stored with, artefacts and the journal.

A difference is a failed check that names the file, or the entry; nothing stops at the first.
"""

from collections.abc import Callable, Iterator

from sqlalchemy.orm import Session

from ledger.audit.comparison import Difference
from ledger.audit.report import Check
from ledger.books.posting import Chain
from ledger.books.verify import Head
from ledger.db import artefacts as artefact_rows
from ledger.db import items, journal
from ledger.db.row_kinds import check_kinds
from ledger.evidence.storage.store import EvidenceStore, ItemKind, StoredItem
from ledger.model.errors import LedgerError, MismatchError
from ledger.model.units import EpochNumber, Hash32, to_hex
from ledger.steps.auditing.epochs import seal_of
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.sealed import header_of

EVIDENCE_CHECK = "evidence.files"
ARTEFACT_CHECK = "artefact.files"


def file_count(ledger: Ledger) -> int:
    """How many files `file_checks` will look at."""
    with ledger.database.reading() as session:
        return len(items.items(session)) + len(artefact_rows.artefacts(session))


def file_checks(ledger: Ledger, looked: Callable[[], None] = lambda: None) -> list[Check]:
    """Every evidence file and every artefact; one failed check a damaged file, or one passed check of each sort.

    `looked` is called after each file.
    """
    with ledger.database.reading() as session:
        evidence = list(_evidence_faults(ledger.evidence, session, looked))
        artefacts = list(_artefact_faults(ledger, session, looked))
    return [*_checks(EVIDENCE_CHECK, "E3.5", evidence), *_checks(ARTEFACT_CHECK, "E5.7", artefacts)]


def require_readable(ledger: Ledger) -> None:
    """Raise StoredKindError naming the first row with a value that its column cannot mean: nothing can be read then."""
    with ledger.database.reading() as session:
        check_kinds(session)


def journal_check(ledger: Ledger, last: EpochNumber | None) -> Check:
    """Walk both hash chains from their first entry (E6.3); the head a sealed epoch's header names must be there."""
    with ledger.database.reading() as session:
        try:
            expected: dict[Chain, Head] = {}
            if last is not None:
                head = header_of(session, last).ledger_head
                expected[Chain.SEAL] = Head(number=seal_of(session, last).number, hash=head)
            journal.verify_journal(session, expected=expected)
        except LedgerError as error:
            found = error.what
        except (KeyError, TypeError, ValueError) as error:
            found = f"a stored value is none of the journal's words: {error}"
        else:
            return Check(name="journal", rule="E6.3", difference=None)
    difference = Difference(where="journal", expected="two unbroken hash chains", found=found)
    return Check(name="journal", rule="E6.3", difference=difference)


def _evidence_faults(store: EvidenceStore, session: Session, looked: Callable[[], None]) -> Iterator[Difference]:
    """Files whose bytes are not those stored, and indexed items whose file is gone or was replaced."""
    indexed = {(item.kind, item.uid): item.file_digest for item in items.items(session)}
    for kind in ItemKind:
        try:
            for item in store.list(kind):
                difference = _evidence_fault(store, item, indexed.pop((kind.value, item.uid), None))
                if difference is not None:
                    yield difference
                looked()
        except MismatchError as error:
            yield Difference(where=f"evidence/{kind}", expected="files of this store", found=error.what)
    for (name, uid), digest in sorted(indexed.items()):
        yield Difference(where=f"evidence/{name} {to_hex(uid)}", expected=_digest(digest), found="absent")


def _evidence_fault(store: EvidenceStore, item: StoredItem, indexed: Hash32 | None) -> Difference | None:
    where = f"evidence/{item.kind} {to_hex(item.uid)}"
    try:
        store.read(item)
    except LedgerError as error:
        return Difference(where=where, expected=_digest(indexed or item.sha256), found=error.what)
    if indexed is not None and indexed != item.sha256:
        return Difference(where=where, expected=_digest(indexed), found=f"another file, {_digest(item.sha256)}")
    return None


def _artefact_faults(ledger: Ledger, session: Session, looked: Callable[[], None]) -> Iterator[Difference]:
    for file in artefact_rows.artefacts(session):
        digest = ledger.artefacts.kept_digest(session, file)
        if digest != file.content_digest:
            found = "absent" if digest is None else _digest(digest)
            yield Difference(where=file.path, expected=_digest(file.content_digest), found=found)
        looked()


def _checks(name: str, rule: str, faults: list[Difference]) -> list[Check]:
    return [Check(name=name, rule=rule, difference=fault) for fault in faults] or [
        Check(name=name, rule=rule, difference=None)
    ]


def _digest(digest: bytes) -> str:
    return f"SHA-256 {digest.hex()}"
