"""The command tree. A noun is a module, or a folder with its `app`; each verb opens the workspace, acts and prints."""

import typer

from ledger.cli.audit.app import app as audit
from ledger.cli.carbon import app as carbon
from ledger.cli.chain.app import app as chain
from ledger.cli.db.app import app as db
from ledger.cli.epoch import app as epoch
from ledger.cli.evidence.batch import app as batch
from ledger.cli.evidence.node import app as node
from ledger.cli.gov.app import app as gov
from ledger.cli.rewards.app import app as rewards
from ledger.cli.service import demo, doctor, init, run, serve, worker

app = typer.Typer(
    name="ath-ledger",
    help="Exact, provable rewards for a decentralised GPU cloud.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for noun in (chain, db, node, batch, epoch, rewards, carbon, gov, audit):
    app.add_typer(noun)
for verb in (init, run, worker, serve, doctor, demo):
    verb.add_to(app)
