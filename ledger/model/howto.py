"""Which page of docs/howto says what to do about a failure, by its code; docs/reference/errors.md lists every code."""

from collections.abc import Mapping
from typing import Final

FOLDER: Final = "docs/howto"
REFERENCE: Final = "docs/reference/errors.md"

_PAGES: Final[Mapping[str, str]] = {
    "back-up-and-restore.md": "books.behind-chain",
    "books-damaged.md": """
        books.journal-broken books.balances-differ books.unbalanced books.out-of-balance books.idempotency-conflict
        books.balance-rule books.posting db.damaged""",
    "broker-down.md": "broker.unreachable worker.no-broker",
    "chain-unreachable.md": """
        chain.unreachable chain.rpc-error chain.silent chain.stopped chain.anvil chain.behind
        reconcile.chain-behind
        health.no-answer""",
    "clock-wrong.md": "clock.behind clock.jumps clock.behind-books",
    "contract-paused.md": "claim.paused",
    "correct-a-wrong-epoch.md": """
        epoch.revoked correction.missing correction.not-paused correction.nothing correction.below-claimed
        correction.above-paid-in correction.books-behind correction.epoch-pending""",
    "database-unreachable.md": """
        db.unavailable db.login db.locked db.busy db.read-only db.missing db.held-elsewhere
        workspace.busy workspace.folder""",
    "disk-full.md": "db.disk-full disk.full disk.low environment.os evidence.store-failure",
    "endpoint-down.md": "chain.endpoint-down chain.block-missing chain.moved chain.bad-answer chain.logs-hidden",
    "epoch-halted.md": """
        epoch.halted invariant.broken db.constraint db.already-different policy.none policy.tables-missing rules.unknown
        settle.conflict""",
    "evidence-bytes-differ.md": """
        evidence.bytes-differ evidence.used-register verify.statement-file verify.detail-file tree.invalid
        db.blob-damaged""",
    "fees-too-high.md": "settle.fee-cap",
    "funds-missing.md": "settle.funds-missing treasury.balance treasury.allowance",
    "guards-changed.md": "db.guards-changed db.schema-differs",
    "keystore.md": "keys.keystore keys.readable keys.no-signer keys.other-sender",
    "nonce-taken.md": "settle.nonce-taken settle.sender-unknown",
    "rate-limited.md": "server.busy rate.exceeded rate.share",
    "reconcile.md": """
        reconcile.differs reconcile.suspense reconcile.books-behind reconcile.nothing-final
        reconcile.no-such-suspense reconcile.books-moved""",
    "reorg-below-finality.md": "chain.finality-broken books.block-vanished",
    "role-missing.md": """
        settle.publisher-role settle.no-publisher governance.role governance.no-holder watch.not-guardian""",
    "schema-version.md": "db.schema-older db.schema-newer",
    "submissions-refused.md": "submission.refused item.refused",
    "transaction-reverted.md": "transaction.reverted contract.reverted",
    "transaction-stuck.md": "transaction.pending settle.open settle.stuck",
    "watch-the-publisher.md": "watch.alarm watch.cannot-derive",
    "worker-dies.md": "workers.none submissions.waiting epoch.stale metrics.port",
    "wrong-chain.md": """
        chain.wrong-chain chain.other-genesis chain.other-code workspace.other-network workspace.unbound
        workspace.not-deployed deployment.missing contract.abi-mismatch""",
}

_PAGE_OF: Final = {code: page for page, codes in _PAGES.items() for code in codes.split()}


def pages() -> Mapping[str, tuple[str, ...]]:
    """Every page with the codes it is about."""
    return {page: tuple(codes.split()) for page, codes in _PAGES.items()}


def page_of(code: str) -> str:
    """The page about a code, from the project's root; '' where none is needed beyond the reference."""
    return f"{FOLDER}/{_PAGE_OF[code]}" if code in _PAGE_OF else ""
