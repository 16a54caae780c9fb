"""`ath-ledger gov simulate`: past epochs replayed under a proposed policy, before anybody votes."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.cli.shared.opening import WorkspaceOption, reading, standing_of
from ledger.cli.shared.output import Format, emit_fact, emit_rows, talk
from ledger.model.errors import UsageError

if TYPE_CHECKING:
    from ledger.simulation.document import SimulationFile
    from ledger.steps.governing.simulate import Simulation

DEFAULT_EPOCHS = 10


class SimulationFormat(StrEnum):
    """What `-o` takes here."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"


def add_to(app: typer.Typer) -> None:
    """Put the command into `gov`."""
    app.command("simulate")(simulate)


def simulate(
    change: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="a parameter to change; repeat for more")
    ] = None,
    policy: Annotated[Path | None, typer.Option(help="JSON with every parameter, instead of --set")] = None,
    version: Annotated[int | None, typer.Option(min=1, help="instead: a policy that is announced already")] = None,
    last: Annotated[int, typer.Option(min=1, help="so many of the newest final epochs")] = DEFAULT_EPOCHS,
    folder: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="write simulation.json, simulation.md and the charts")
    ] = None,
    workspace: WorkspaceOption = None,
    output: Annotated[
        SimulationFormat, typer.Option("-o", "--output", help="table, json, csv (operators) or markdown")
    ] = SimulationFormat.TABLE,
) -> None:
    """Who would have been paid what: the newest final epochs replayed under a policy, against what was sealed.

    What the contract would refuse is refused here, by the name of the bound. Exit code 4 when an epoch replayed
    under its own policy is not what was sealed.
    """
    from ledger.simulation.charts import charts
    from ledger.simulation.markdown import markdown
    from ledger.steps.governing import simulate as steps
    from ledger.steps.governing.policy_change import parse_changes, read_policy_file

    if [bool(change), policy is not None, version is not None].count(True) != 1:
        raise UsageError("name changes with --set NAME=VALUE, a whole policy with --policy FILE, or a --version")
    with reading(workspace) as ledger:
        if version is not None:
            subject = steps.announced_proposal(ledger, version)
        else:
            wanted = parse_changes(change or []) if policy is None else read_policy_file(policy)
            subject = steps.proposal(ledger, wanted, is_whole=policy is not None)
        window = steps.last_epochs(ledger, last)
        if len(window) < last:
            talk(f"only {len(window)} epochs are final")
        result = steps.simulate(ledger, subject, window, talk)
        standing = standing_of(ledger)
    drawings = charts(result.comparison) if folder is not None else {}
    page = markdown(result.comparison, subject, result.file, list(drawings))
    if folder is not None:
        _write(folder, {"simulation.json": result.file.content, "simulation.md": page.encode()})
        _write(folder, {name: text.encode() for name, text in drawings.items()})
        talk(f"wrote {2 + len(drawings)} files to {folder}")
    match output:
        case SimulationFormat.MARKDOWN:
            sys.stdout.write(page)
        case SimulationFormat.JSON:
            emit_fact({"simulation_hash": result.file.digest} | dict(result.file.document), Format.JSON, standing)
        case SimulationFormat.CSV:
            emit_rows(_operator_rows(result), Format.CSV)
        case SimulationFormat.TABLE:
            emit_rows(_operator_rows(result), Format.TABLE)
            print()
            emit_fact(_summary(result), Format.TABLE, standing)
    talk(
        f"Next: ath-ledger gov propose with the same change, --effective-epoch N and --simulation "
        f"{folder / 'simulation.json' if folder else 'DIR/simulation.json (write it with --out DIR)'}"
    )


def named_simulation(file: Path) -> "SimulationFile":
    """The simulation a proposal names. UsageError when it cannot be read or is none."""
    from ledger.simulation.document import read_simulation

    try:
        return read_simulation(file.read_bytes())
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error


def _summary(result: "Simulation") -> dict[str, Any]:
    from ledger.simulation.comparison import gains_and_losses

    before, after = result.comparison.before, result.comparison.after
    gain, lose, same = gains_and_losses(result.comparison.operators)
    return {
        "epochs": f"{result.comparison.epochs[0].epoch} to {result.comparison.epochs[-1].epoch}",
        "operators": f"{gain} gain, {lose} lose, {same} stay the same",
        "sealed_payout_wei": before.payout_wei,
        "proposed_payout_wei": after.payout_wei,
        "sealed_carbon_wei": before.carbon_wei,
        "proposed_carbon_wei": after.carbon_wei,
        "sealed_reserve_wei": before.reserve_wei,
        "proposed_reserve_wei": after.reserve_wei,
        "unpaid_ug": f"{before.carried_out_ug} → {after.carried_out_ug}",
        "emissions_paid_for_ppm": f"{before.paid_for_ppm} → {after.paid_for_ppm}",
        "gini_ppm": f"{before.concentration.gini_ppm} → {after.concentration.gini_ppm}",
        "simulation_hash": result.file.digest,
        "limits": " ".join(result.file.document["limits"]),
    }


def _operator_rows(result: "Simulation") -> list[dict[str, Any]]:
    from ledger.model.units import Address
    from ledger.tree.keccak import checksum_address

    return [
        {
            "operator": checksum_address(Address(bytes(change.key))),
            "nodes": change.nodes,
            "sealed_wei": change.before_wei,
            "proposed_wei": change.after_wei,
            "delta_wei": change.delta_wei,
            "delta_ppm": change.delta_ppm,
        }
        for change in result.comparison.operators
        if isinstance(change.key, bytes)
    ]


def _write(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
