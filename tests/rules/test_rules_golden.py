"""Every golden epoch through the real path: each demanded figure, to the wei."""

import pytest
from vectors.loader import GoldenEpoch, golden_epochs

from ledger.rules import rules_for
from ledger.rules.statements import statement_rows


@pytest.mark.parametrize("golden", golden_epochs(), ids=lambda golden: golden.name)
def test_a_golden_epoch_comes_out_as_its_file_demands(golden: GoldenEpoch) -> None:
    result = rules_for("v1").allocate(golden.evidence, golden.policy, golden.tables, golden.opening)

    totals = {name: getattr(result.totals, name) for name in golden.expected_totals}
    assert totals == dict(golden.expected_totals)
    rows = {row.node_id: row for row in statement_rows(result.statements)}
    assert set(golden.expected_statements) <= set(rows)
    for node, demanded in golden.expected_statements.items():
        assert {name: getattr(rows[node], name) for name in demanded} == dict(demanded), node
