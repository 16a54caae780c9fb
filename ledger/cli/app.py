"""The command tree. Each noun is a module; each verb a function that opens the workspace, acts and prints."""

import typer

from ledger.cli import (
    audit,
    batch,
    carbon,
    chain,
    db,
    demo,
    doctor,
    epoch,
    gov,
    init,
    node,
    rewards,
    run,
    serve,
    worker,
)

app = typer.Typer(
    name="ath-ledger",
    help="Exact, provable rewards for a decentralised GPU cloud.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for noun in (chain, db, node, batch, epoch, rewards, carbon, gov, audit):
    app.add_typer(noun.app)
for verb in (init, run, worker, serve, doctor, demo):
    verb.add_to(app)
