"""`ath-ledger audit watch`: recompute every proposal in its window; revoke it, or wake somebody."""

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.cli.shared.opening import WorkspaceOption, reading, workspace_at
from ledger.cli.shared.output import Format, Output, emit_rows, talk

if TYPE_CHECKING:
    from ledger.steps.watching.response import Response
    from ledger.steps.watching.watch import Watch


class MissingChoice(StrEnum):
    """What to do where evidence is missing."""

    REVOKE = "revoke"
    ALARM = "alarm"


def add_to(app: typer.Typer) -> None:
    """Put the command into `audit`."""
    app.command("watch")(watch)


def watch(
    once: Annotated[bool, typer.Option("--once", help="look once; exit code 4 on an alarm")] = False,
    interval: Annotated[int, typer.Option(min=1, metavar="SECONDS", help="between two looks")] = 12,
    # no environment variable: a key that acts by itself is named on purpose
    keystore: Annotated[
        Path | None,
        typer.Option("--keystore", help="the guardian's version 3 keystore: with it, bad headers are revoked"),
    ] = None,
    password_file: Annotated[
        Path | None, typer.Option("--password-file", help="file whose first line is its password")
    ] = None,
    missing: Annotated[
        MissingChoice, typer.Option(help="with a key: what to do where evidence is missing here")
    ] = MissingChoice.REVOKE,
    webhook: Annotated[str, typer.Option(metavar="URL", help="where alarms are POSTed as JSON")] = "",
    metrics_file: Annotated[Path | None, typer.Option(help="a Prometheus textfile to keep up to date")] = None,
    workspace: WorkspaceOption = None,
    output: Output = Format.TABLE,
) -> None:
    """Hold every header on chain against what this workspace's own evidence gives, also while it is in its window.

    Needs evidence, tables and deployment.json; no books, no artefacts, no publisher's key. Nothing is written but the
    metrics file. With the guardian's keystore a header that does not recompute is revoked; without, and for one that is
    active already, the alarm is all there is.
    """
    from ledger.cli.shared.signing import Signing
    from ledger.steps.watching.response import MissingPolicy, WatchAlarmError, require_guardian
    from ledger.steps.watching.watch import Watch
    from ledger.steps.watching.webhook import check_url

    guardian = Signing(keystore=keystore, password_file=password_file).key() if keystore is not None else None
    with reading(workspace) as ledger:
        if guardian is not None:
            require_guardian(ledger.settlement(), guardian)
        watching = Watch(
            ledger=ledger,
            guardian=guardian,
            missing=MissingPolicy(missing.value),
            webhook=check_url(webhook) if webhook else "",
            metrics_file=metrics_file,
            told=talk if once else lambda _said: None,
        )
        if not once:
            _log(workspace, webhook)
            watching.forever(
                lambda: time.sleep(interval),
                lambda new: emit_rows([_row(each) for each in new], output) if new else None,
            )
        new = watching.round()
        _show(watching, new, output)
    alarms = [each for each in new if each.is_alarm]
    if alarms:
        raise WatchAlarmError(f"{len(alarms)} of {len(new)} headers are not fine; last: {_sentence(alarms[-1])}")
    talk("every header on chain recomputes" if new else "no header is on chain yet")


def _log(workspace: Path | None, webhook: str) -> None:
    """A watcher that stays speaks in log lines; what a webhook's address gives away is in none of them."""
    from ledger.telemetry.logs import start_logging
    from ledger.telemetry.secrets import keep_address_secret

    place = workspace_at(workspace)
    keep_address_secret(webhook)
    start_logging(place.settings, program="watch", folder=place.root / "logs")


def _show(watching: "Watch", new: "list[Response]", output: Format) -> None:
    metrics = watching.metrics
    pending = None if metrics.pending is None else metrics.pending.epoch
    emit_rows([_row(each) for each in new], output)
    for each in new:
        talk(_sentence(each))
    talk(f"looked at block {metrics.last_block}" + ("" if pending is None else f"; epoch {pending} is in its window"))


def _row(response: "Response") -> dict[str, Any]:
    from ledger.steps.transitions.transition import utc

    judged = response.judged
    return {
        "epoch": judged.epoch,
        "header_hash": judged.header_hash,
        "verdict": judged.verdict.value,
        "active": judged.is_active,
        "activates_at_utc": utc(judged.activates_at),
        "action": response.action.value,
        "transaction": response.transaction,
        "why": response.detail or judged.why,
        "differences": [str(each) for each in judged.differences],
    }


def _sentence(response: "Response") -> str:
    judged = response.judged
    first = f": {judged.differences[0]}" if judged.differences else ""
    reason = f": {judged.why}" if judged.why else first
    done = "" if response.action.value == "nothing" else f"; {response.action.value}"
    done += f" by 0x{response.transaction.hex()}" if response.transaction is not None else ""
    done += f" ({response.detail})" if response.detail else ""
    return f"epoch {judged.epoch} is {judged.verdict.value}{reason}{done}"
