"""`ath-ledger audit verify`: of a workspace, epoch by epoch, or of bundles with nothing else."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.cli.shared.opening import WorkspaceOption, reading, standing_of, workspace_at
from ledger.cli.shared.output import Format, Output, Standing, emit_rows, talk
from ledger.cli.shared.progress import bar
from ledger.model.errors import EnvironmentFailure, UsageError
from ledger.model.units import EpochNumber

if TYPE_CHECKING:
    from ledger.audit.bundle.content import EpochBundle
    from ledger.audit.epoch_record import Inheritance
    from ledger.audit.report import Check, Report
    from ledger.steps.auditing.chain import ChainWitness
    from ledger.workspace import Workspace

_STEPS_AN_EPOCH = 200
"""How many files an epoch's recomputation counts for in the bar."""


class ChainChoice(StrEnum):
    """The two hash chains of the books."""

    SEAL = "seal"
    LOG = "log"


class KindChoice(StrEnum):
    """What an entry books."""

    POLICY = "policy"
    SEAL = "seal"
    REVERSAL = "reversal"
    CORRECTION = "correction"
    ACTIVATION = "activation"
    CLAIM = "claim"
    RETIREMENT = "retirement"
    SUSPENSE = "suspense"


def verify(
    bundles: Annotated[
        list[Path] | None, typer.Argument(metavar="[BUNDLE]...", help="exported epochs, in order; needs nothing else")
    ] = None,
    epoch: Annotated[
        int | None, typer.Option("--epoch", min=0, help="verify up to this epoch (default: the last sealed one)")
    ] = None,
    only: Annotated[
        bool, typer.Option("--only", help="this epoch alone, believing what is recorded that the one before left")
    ] = False,
    rpc: Annotated[
        str | None, typer.Option("--rpc", help="compare with this chain (default: the workspace's, where it runs)")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="ask no chain")] = False,
    workspace: WorkspaceOption = None,
    output: Output = Format.TABLE,
) -> None:
    """Recompute epochs from their evidence and compare every stored part; exit code 4 on any difference.

    All epochs from 0 on are walked, so that certificates used once and GPUs held once are recomputed, not believed.
    Every evidence file, artefact and journal entry is read and held against its digest.
    """
    if rpc is not None and offline:
        raise UsageError("--rpc and --offline contradict each other", hint="ath-ledger audit verify --help")
    if bundles:
        if epoch is not None or only:
            raise UsageError("a bundle holds one epoch; --epoch and --only are for a workspace", hint="leave them out")
        _verify_bundles(bundles, rpc, output)
    else:
        _verify_workspace(workspace, epoch, only, rpc, offline, output)


def _verify_workspace(
    given: Path | None, epoch: int | None, only: bool, rpc: str | None, offline: bool, output: Format
) -> None:
    from ledger.steps.auditing.epochs import last_sealed, require_sealed, verified_epochs
    from ledger.steps.auditing.files import file_checks, file_count, journal_check, require_readable
    from ledger.steps.auditing.node import followed_to
    from ledger.steps.auditing.rows.checking import chain_row_checks, row_checks

    place = workspace_at(given)
    with reading(given) as ledger:
        require_readable(ledger)
        standing = standing_of(ledger)
        last = last_sealed(ledger) if epoch is None else EpochNumber(epoch)
        require_sealed(ledger, last)
        if only and last:
            talk(f"--only: what epoch {last - 1} left is believed as recorded, not recomputed")
        witness = None if offline else _witness(place, rpc)
        if witness is not None:
            witness.require_believable(followed_to(ledger), "the books are final to")
        general: list[Check] = [] if witness is None else list(witness.general())
        if witness is not None and epoch is None:
            general.append(witness.reaches(last))
        reports: list[Report] = []
        walked = 1 if only else last + 1
        with bar(file_count(ledger) + walked * _STEPS_AN_EPOCH, "verifying") as advance:
            general += file_checks(ledger, lambda: advance(1))
            general.append(journal_check(ledger, last))
            general += row_checks(ledger, place.deployment())
            if witness is not None:
                general += chain_row_checks(ledger, witness.connection, witness.deployment)
            for report in verified_epochs(ledger, last, only=only, witness=witness):
                reports.append(report)
                advance(_STEPS_AN_EPOCH)
    if reports[-1].epoch != last:
        talk(f"epochs {reports[-1].epoch + 1} to {last} were not looked at: they follow from epoch {reports[-1].epoch}")
    _conclude(general, reports, output, standing)


def _verify_bundles(files: Sequence[Path], rpc: str | None, output: Format) -> None:
    reports: list[Report] = []
    left: Inheritance | None = None
    last: EpochNumber | None = None
    with bar(len(files) * _STEPS_AN_EPOCH, "verifying") as advance:
        for place, file in enumerate(files, start=1):
            with _opened(file) as bundle:
                number = bundle.record.header.epoch
                follows = last is not None and number == last + 1
                if not follows:
                    left = None
                    _tell_belief(file, number, is_anchored=rpc is not None)
                report = _report_on(bundle, left, rpc)
            reports.append(report)
            left, last = report.inheritance, number
            advance(_STEPS_AN_EPOCH)
            if not report.passed:
                for other in files[place:]:
                    talk(f"{other.name} was not looked at: {file.name} has to pass first")
                break
    _conclude([], reports, output, None)


def _tell_belief(file: Path, epoch: EpochNumber, *, is_anchored: bool) -> None:
    """A bundle alone ties most of what it inherits to the header before it, which only a chain ties to anything."""
    if not epoch:
        return
    talk(f"{file.name}: which GPU counted where before, and what devices produced for certificates used so far,")
    if not is_anchored:
        talk("what every operator had earned before, used certificates, rollover and carbon liability as well,")
    talk(f"are believed as stated; name the bundles of epochs 0 to {epoch} together to have them recomputed")


def _conclude(
    general: "Sequence[Check]", reports: "Sequence[Report]", output: Format, standing: Standing | None
) -> None:
    """Print every check, failed ones first, and raise if there is one."""
    from ledger.audit.report import VerificationFailedError

    checks: list[tuple[EpochNumber | None, Check]] = [(None, check) for check in general]
    checks += [(report.epoch, check) for report in reports for check in report.checks]
    failed = [each for each in checks if not each[1].passed]
    emit_rows([_row(*each) for each in (*failed, *(each for each in checks if each[1].passed))], output, standing)
    unanchored = [report.epoch for report in reports if not report.is_anchored]
    if unanchored:
        talk(f"not held against a chain: {_span(unanchored)}; a ledger that is not proves itself only")
    if failed:
        epoch, check = failed[0]
        where = "" if epoch is None else f"epoch {epoch}, "
        raise VerificationFailedError(
            f"{len(failed)} of {len(checks)} checks failed; first: {where}{check}",
            hint="keep it all as it is, replace what is named from another copy, then verify again",
        )
    talk(f"verified {_span([report.epoch for report in reports])}; all {len(checks)} checks passed")


def _span(epochs: Sequence[int]) -> str:
    """`epoch 7`, or `epochs 0 to 7`."""
    return f"epoch {epochs[0]}" if len(epochs) == 1 else f"epochs {min(epochs)} to {max(epochs)}"


def _row(epoch: int | None, check: "Check") -> dict[str, Any]:
    difference = check.difference
    return {
        "epoch": epoch,
        "check": check.name,
        "rule": check.rule,
        "result": "passed" if difference is None else "FAILED",
        "where": "" if difference is None else difference.where,
        "expected": "" if difference is None else difference.expected,
        "found": "" if difference is None else difference.found,
    }


def _witness(place: "Workspace", rpc: str | None) -> "ChainWitness | None":
    """The chain to compare with: the one named, or the workspace's own where it can be reached."""
    from ledger.chain.local.anvil import find_running
    from ledger.chain.node.connection import connect
    from ledger.steps.auditing.chain import chain_witness

    deployment = place.deployment()
    url = rpc or place.settings.rpc_url
    if rpc is None and place.is_own_chain:
        running = find_running(place.chain_folder)
        if running is None:
            talk("the workspace's chain does not run, so it is not asked. Next: ath-ledger chain start, or --rpc URL")
            return None
        url = running.rpc_url
    try:
        connection = connect(url, expected_chain_id=deployment.chain_id, expected_genesis_hash=deployment.genesis_hash)
        return chain_witness(connection, deployment)
    except EnvironmentFailure as error:
        if rpc is not None or not error.retryable:
            raise
        talk(f"the chain is not asked: {error.what}")
        return None


def _report_on(bundle: "EpochBundle", left: "Inheritance | None", rpc: str | None) -> "Report":
    """The report on a bundle; with a chain what it decided stands in front, what only follows from a header behind."""
    from ledger.audit.bundle.verification import verify_bundle

    if rpc is None:
        return verify_bundle(bundle, left)
    from ledger.chain.node.connection import connect
    from ledger.steps.auditing.chain import chain_witness, deployment_of
    from ledger.tree.commitments import header_hash

    identity = bundle.identity
    connection = connect(rpc, expected_chain_id=identity.chain_id, expected_genesis_hash=identity.genesis_hash)
    witness = chain_witness(connection, deployment_of(identity))
    activated = bundle.settled["activated"]
    witness.require_believable(0 if activated is None else activated.block, "the bundle's epoch was activated in")
    header = bundle.record.header
    decided = (*witness.general(), *witness.checks(bundle.record.evidence, is_final=True))
    report = verify_bundle(bundle, left, witness.headers.get(header.epoch))
    settlement = witness.settlement(header_hash(header), bundle.settled)
    return replace(report, checks=(*decided, *report.checks, settlement))


@contextmanager
def _opened(file: Path) -> "Iterator[EpochBundle]":
    """The bundle in a file, mapped rather than read: only what is looked at comes into memory."""
    import mmap

    from ledger.audit.bundle.error import NotABundleError
    from ledger.audit.bundle.reading import read_bundle

    if not file.is_file():
        raise UsageError(f"{file} is no file", hint="ath-ledger audit export --epoch N --out FILE makes one")
    if not file.stat().st_size:
        raise NotABundleError(f"{file} is empty")
    with file.open("rb") as opened:
        content = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        yield read_bundle(memoryview(content))  # the mapping lives as long as the bundle's batches need it
