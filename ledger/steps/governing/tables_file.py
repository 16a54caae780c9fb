"""Tables documents a person writes: read from any JSON layout, kept in canonical form under their hash."""

import json
from pathlib import Path

from ledger.db import policies as policy_rows
from ledger.db.engine import Database
from ledger.model.errors import UsageError
from ledger.model.policy import Tables
from ledger.model.units import Hash32, Timestamp
from ledger.tree.abi import EncodingError
from ledger.tree.canonical import canonical_json
from ledger.tree.commitments import tables_hash
from ledger.tree.parameters import tables_from_document


def read_tables(file: Path) -> Tables:
    """The tables in a JSON file; spaces and the order of keys do not matter. UsageError names what is wrong."""
    try:
        return tables_from_document(canonical_json(json.loads(file.read_text(encoding="utf-8"))))
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}", hint="ath-ledger gov tables --help") from error
    except EncodingError as error:
        raise UsageError(f"{file}: {error.what}", hint=f"correct {file}") from error
    except ValueError as error:
        raise UsageError(f"{file} is no JSON: {error}", hint=f"correct {file}") from error


def add_tables(database: Database, tables: Tables, at: Timestamp) -> tuple[Hash32, bool]:
    """Keep tables in the ledger; their hash, and whether they are new here. Twice is harmless."""
    digest = tables_hash(tables)
    with database.transaction() as session:
        is_new = not policy_rows.has_tables(session, digest)
        policy_rows.record_tables(session, tables, recorded_at=at)
    return digest, is_new
