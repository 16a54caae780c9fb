"""An auditor reads the sealed statements file without the rules that wrote it."""

from pathlib import Path

import pytest
from vectors.loader import golden_epochs

from ledger.audit.calculator import recompute
from ledger.audit.comparison import first_difference
from ledger.audit.statement_file import StatementFileError, stored_statements
from ledger.rules.statements import write_statements
from ledger.rules.v1 import allocate


def test_rows_of_the_sealed_file_are_the_recomputed_statements(tmp_path: Path) -> None:
    for epoch in golden_epochs():
        produced = allocate(epoch.evidence, epoch.policy, epoch.tables, epoch.opening)
        path = tmp_path / f"{epoch.name}.parquet"
        write_statements(produced.statements, path)
        recomputed = recompute(epoch.evidence, epoch.policy, epoch.tables, epoch.opening)
        assert first_difference(recomputed.statements, stored_statements(path.read_bytes())) is None


def test_other_bytes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StatementFileError, match="not a statements file"):
        stored_statements(b"PAR1 is not enough")


def test_a_file_without_a_column_is_refused(tmp_path: Path) -> None:
    epoch = golden_epochs()[0]
    frame = allocate(epoch.evidence, epoch.policy, epoch.tables, epoch.opening).statements.drop("reasons")
    path = tmp_path / "short.parquet"
    frame.select("node_id", "zone").write_parquet(path)
    with pytest.raises(StatementFileError, match="without the columns"):
        stored_statements(path.read_bytes())
