"""Every fault that has to cost time and never money: the rows of the fault matrix.

A test proves a row by `@pytest.mark.row("<its name>")`. A row without a test is shown as missing on the page.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Row:
    """A fault by its name, and what is done when it is tried."""

    name: str
    fault: str


ROWS: Final = (
    Row("kill at every transition", "SIGKILL before the commit, after it and after its effect, of every transition"),
    Row(
        "any part killed in the second epoch",
        "SIGKILL of a worker, PostgreSQL, Redis or Anvil in the demo's second epoch",
    ),
    Row("kill after broadcast", "SIGKILL between sending a transaction and noting the node's answer"),
    Row("kill in a seal", "SIGKILL in the middle of a seal of 10,000 lines"),
    Row("kill in a migration", "SIGKILL in the middle of a migration"),
    Row("message delivered twice", "the same message twice, and ten times at once"),
    Row("message stale, reordered or lost", "messages for a state that is past, out of order, or never delivered"),
    Row("broker restarts", "Redis is killed and started again"),
    Row("broker forgets", "Redis loses everything it had (FLUSHALL)"),
    Row("broker away for minutes", "Redis is down for five minutes"),
    Row("task outlives its message", "a task takes longer than the broker waits before it delivers again"),
    Row("RPC timeout before acceptance", "the node never hears of the call, and nothing comes back"),
    Row("RPC timeout after acceptance", "the node did what was asked, and nothing comes back"),
    Row("RPC lies: stale head", "the node answers as it was many blocks ago"),
    Row("RPC lies: null receipt", "the node denies transactions that are mined"),
    Row("RPC lies: missing block", "the node does not have blocks that it named"),
    Row("RPC lies: wrong chain id", "the address serves another chain from one moment to the next"),
    Row("RPC lies: empty logs", "the node answers every question for events with none"),
    Row("RPC lies: stale block", "a block that left the chain is served as if it were there"),
    Row("mempool drop", "a transaction is accepted and forgotten"),
    Row("fee spike", "the base fee rises far above what was signed"),
    Row("foreign nonce", "another program sends from the publisher's account"),
    Row("earlier attempt mines late", "after a fee bump the first transaction is mined, not the second"),
    Row("revert on chain", "the contract refuses a transaction that it would have accepted when it was sent"),
    Row("reorg of 1", "the chain's last block is replaced"),
    Row("reorg of K-1", "one block less than the finality depth is replaced"),
    Row("reorg of K", "as many blocks as the finality depth are replaced"),
    Row("reorg of K+1", "one block that was final is replaced"),
    Row("reorg of 3K", "three times the finality depth is replaced"),
    Row("reorg moves a claim", "a claim is mined again in another block, above and below finality"),
    Row("reorg drops a claim", "a claim is on no branch any more, above and below finality"),
    Row("database away before COMMIT", "the connection breaks before COMMIT is sent"),
    Row("database away during COMMIT", "the connection breaks after COMMIT was sent and before it is answered"),
    Row("database away after COMMIT", "the connection breaks after COMMIT was answered"),
    Row("database is locked", "another program holds SQLite's write lock for long"),
    Row("deadlock", "two transactions wait for each other on PostgreSQL"),
    Row("disk full in a seal", "the disk is full while an epoch is sealed"),
    Row("disk full in an export", "the disk is full while a bundle is written"),
    Row("clock jumps forwards", "the machine's clock jumps ahead"),
    Row("clock jumps backwards", "the machine's clock jumps back"),
    Row("tampering", "each byte of each protected row is changed, rows are deleted, swapped and inserted"),
    Row("truncated tail", "the last entries of the books are gone"),
    Row("dropped trigger", "a guard of the database is dropped"),
    Row("two workers with one sender key", "two processes send from one account at the same time"),
    Row("policy changed in an epoch", "a policy takes effect between an epoch's freeze and its computation"),
    Row("poison attestations", "batches that are damaged, hostile or not to be read at all"),
    Row("yesterday's backup", "the books are a day older than the chain"),
)
NAMES: Final = frozenset(row.name for row in ROWS)
