"""What the workspace's own chain keeps on disk, so that killing it loses nothing the ledger has relied on.

Anvil writes its state over the old one: killed meanwhile, it leaves an empty file. So it writes to a file of its
own, and starts from another that is only ever replaced whole: by `keep`, or by Anvil's own once that proved whole.
"""

import gzip
import json
from pathlib import Path
from typing import Any, Final

from ledger.chain.errors import AnvilError
from ledger.chain.node.connection import Connection
from ledger.model.durable import write_whole
from ledger.model.units import Timestamp, from_hex

STATE_FILE: Final = "state.json"
"""What the chain starts from."""
LIVE_FILE: Final = "live.json"
"""What Anvil writes each second and when it ends; only there while it runs, or after it was killed."""


def keep(connection: Connection, folder: Path) -> None:
    """Put the chain as it is now on disk, with the states of all its blocks; whatever is killed then, it is there.

    A chain without a block is not kept: see `adopt_live_state`.
    """
    if connection.head().number == 0:
        return
    packed = connection.rpc("anvil_dumpState", True)
    write_whole(folder / STATE_FILE, gzip.decompress(from_hex(packed)))


def adopt_live_state(folder: Path, *, ended_cleanly: bool = False) -> Path:
    """Make the newest whole state the one to start from, and return its path. The chain must not be running.

    A chain that ended cleanly has the last word; after a kill the higher of the two states counts, for the
    live one may be older than what was kept, or cut off. A killed chain without a block is begun anew: loaded,
    it would ask another base fee for its first one.
    """
    state, live = folder / STATE_FILE, folder / LIVE_FILE
    height = _height(live)
    if height is not None and (ended_cleanly or height >= max(1, _height(state) or 0)):
        live.replace(state)
    live.unlink(missing_ok=True)
    return state


def ready_state(state_file: Path) -> Timestamp | None:
    """Make a saved state fit to start from; the time of its last block, or None for a new chain.

    Each start makes a first block of its own and writes it down beside the true one; which of them is block 0
    after the next start is left to chance. The true one is the oldest. Raises AnvilError for a damaged state.
    """
    try:
        state = json.loads(state_file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise AnvilError(
            f"the chain state {state_file} is damaged", hint=f"restore {state_file} from a backup"
        ) from error
    blocks = state.get("blocks") or []
    first = [block for block in blocks if _header(block, "number") == 0]
    if len(first) > 1:
        true = min(first, key=lambda block: _header(block, "timestamp"))
        blocks = state["blocks"] = [block for block in blocks if block is true or block not in first]
        write_whole(state_file, json.dumps(state))
    # not the state's own `block`: before the first mined block that one says second 1
    return max((Timestamp(_header(block, "timestamp")) for block in blocks), default=None)


def _header(block: Any, name: str) -> int:
    return _number(block["header"][name])


def _height(state_file: Path) -> int | None:
    """The number of the last block in a state; None when there is no whole state in the file."""
    try:
        state = json.loads(state_file.read_text(encoding="utf-8"))
        return _number(state["best_block_number"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _number(value: Any) -> int:
    return int(value, 16) if isinstance(value, str) else int(value)


def has_state(folder: Path) -> bool:
    """Whether the folder holds a chain, stopped or running."""
    return any((folder / name).exists() for name in (STATE_FILE, LIVE_FILE))
