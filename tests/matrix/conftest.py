"""The fault matrix: its rows are data (`rows.py`), its proofs are tests marked `@pytest.mark.row("<name>")`.

For who adds a row's test:

- Mark it with the row's name as it stands in `rows.py`; an unknown name fails the collection. A test may carry several
  marks, a row may have several tests, and they may live in any folder of tests/ (`row` is a marker like `slow`).
  The first sentence of the test's docstring is shown on the page as what was tried.
- Chain rows: the fixture `stage` is a fresh copy of a ledger whose one epoch (the specification's worked example) is
  attested, on an Anvil of its own behind `stage.proxy` (tests/rpc_proxy.py), with keystores on disk and finality depth
  `K`. `stage.settle()` drives it to FINAL as a patient operator would, `stage.claim(rank)` claims for an operator,
  `stage.finish()` lets everything become final and returns the `Outcome`; `undisturbed` is the outcome of a run without
  faults. `assert stage.finish() == undisturbed` is the oracle: books, files, header, balances, and exactly one of each
  event on chain; `finish` itself proves the invariants (books balance, agree with the chain, recomputed from evidence).
- Other engines and workers: `stage_with(database_url=…, endpoints=…)` makes a stage with other settings;
  `stage.workspace.root` is an ordinary workspace that any `ath-ledger` process can work on.

The page: `ATH_LEDGER_RELIABILITY=docs/reliability.md pytest tests -m row` (with xdist too) writes it at the end, by
`recorder.py`.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from matrix.stage import Outcome, Stage, attested_template, open_stage


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose epoch is attested and past its cut-off, to be copied; made once."""
    return attested_template(tmp_path_factory.mktemp("attested") / "ledger")


@pytest.fixture
def stage_with(template: Path, tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    """Makes stages; see `open_stage` for what may be chosen."""
    made: list[Stage] = []

    def make(**choices: Any) -> Stage:
        root = tmp_path / f"ledger-{len(made)}"
        shutil.copytree(template, root)
        made.append(open_stage(root, **choices))
        return made[-1]

    yield make
    for stage in made:
        stage.close()


@pytest.fixture
def stage(stage_with: Callable[..., Stage]) -> Stage:
    """One stage with one endpoint, behind a proxy."""
    return stage_with()


@pytest.fixture(scope="session")
def undisturbed(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What is left by a run that nobody disturbed; played once."""
    root = tmp_path_factory.mktemp("undisturbed") / "ledger"
    shutil.copytree(template, root)
    stage = open_stage(root)
    try:
        return stage.play()
    finally:
        stage.close()
