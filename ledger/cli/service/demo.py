"""`ath-ledger demo`: three days of a real fleet on a real chain, from signed attestations to claimed tokens."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ledger.cli.shared.opening import DEFAULT_WORKSPACE, WorkspaceOption, workspace_path
from ledger.cli.shared.output import talk
from ledger.model.plain import ath

if TYPE_CHECKING:
    from ledger.rehearsal import Delivery, Rehearsal
    from ledger.steps.ledger import Ledger

CLAIMANTS = 3
DATABASE_VARIABLE = "ATH_LEDGER_DATABASE_URL"


def add_to(app: typer.Typer) -> None:
    """Put the command into the tree."""
    app.command("demo")(demo)


def demo(
    workspace: WorkspaceOption = None,
    nodes: Annotated[int, typer.Option(min=10, max=1213, help="how many of the fleet's 1,213 nodes")] = 1213,
    days: Annotated[int, typer.Option(min=1, max=30, help="days; the real grid figures cover three")] = 3,
    example: Annotated[
        bool, typer.Option("--example", help="the specification's worked example instead: three nodes, four hours")
    ] = False,
) -> None:
    """Three days of a real GPU fleet: attested, scored, booked, settled and claimed on a local chain.

    Killed anywhere and run again it continues, to the same headers and the same books.
    """
    from ledger.demo.network import DemoNetwork
    from ledger.demo.worked_example import WorkedExample
    from ledger.rehearsal import Rehearsal

    root = workspace_path(workspace)
    network = WorkedExample() if example else DemoNetwork(nodes=nodes)
    rehearsal = Rehearsal.create(root, network)
    epochs = 1 if example else days
    with rehearsal.workspace.reshaping():
        _introduce(rehearsal, root)
        ledger = rehearsal.deploy(lambda step: talk(f"  {step}"))
        try:
            _play(rehearsal, ledger, epochs)
            _conclude(ledger)
            _verify(ledger)
            _invite(rehearsal, ledger, root, epochs - 1)
        finally:
            ledger.close()
            rehearsal.stop()


def _introduce(rehearsal: "Rehearsal", root: Path) -> None:
    nodes = rehearsal.network.nodes
    print(f"ATH Ledger: {len(nodes):,} nodes of a real GPU fleet on a local chain, in {root}/")
    print("Real: fleet, GPU figures, hourly grid intensity. Synthetic: uptime, energy readings, certificates, keys.")
    print("Grid: Electricity Maps (ODbL); yearly factors: Our World in Data / Ember (CC-BY); fleet: Alibaba 2023.")


def _govern(rehearsal: "Rehearsal", ledger: "Ledger") -> None:
    """The governor changes a parameter in front of everybody: announced, waited for, executed."""
    from ledger.rehearsal import GOVERNED_EPOCH, governed_policy
    from ledger.steps.governing.enact import Stage
    from ledger.steps.governing.policy_change import policy_changes
    from ledger.steps.transitions.transition import utc

    before = rehearsal.network.policy
    (change,) = (f"{name} {old} → {new}" for name, old, new in policy_changes(before, governed_policy(before)))
    for enacted in rehearsal.govern(ledger):
        if enacted.stage is Stage.ANNOUNCED:
            print(f"governance announced: {change} from epoch {GOVERNED_EPOCH} on, not before {utc(enacted.ready_at)}")
    print(f"           executed after its delay: policy 2 is scheduled from epoch {GOVERNED_EPOCH} on")


def _play(rehearsal: "Rehearsal", ledger: "Ledger", days: int) -> None:
    from ledger.model.units import EpochNumber
    from ledger.rehearsal import GOVERNED_EPOCH

    settlement = ledger.settlement()
    print(f"\ncontracts  RewardsLedger {_short(settlement.deployment.addresses['RewardsLedger'])} on chain 31337")
    _report("registered", rehearsal.register(ledger))
    if days > GOVERNED_EPOCH:
        _govern(rehearsal, ledger)
    for day in range(days):
        epoch = EpochNumber(day)
        _report(f"day {day}", rehearsal.attest(ledger, epoch))
        if day:
            _settle(rehearsal, ledger, EpochNumber(day - 1))
    _settle(rehearsal, ledger, EpochNumber(days - 1))
    rehearsal.finish(ledger)


def _settle(rehearsal: "Rehearsal", ledger: "Ledger", epoch: int) -> None:
    from ledger.db import epochs
    from ledger.model.epoch import EpochState
    from ledger.model.units import EpochNumber
    from ledger.steps.recorded.totals import totals_of
    from ledger.steps.transitions.transition import Moved, Waiting
    from ledger.tree.keccak import checksum_address
    from ledger.tree.standard import LeafNotFoundError

    print(f"\nepoch {epoch}")
    for result in rehearsal.settle(ledger, EpochNumber(epoch)):
        match result:
            case Moved(state=state, what=said) | Waiting(state=state, why=said):
                print(f"  {state.value:9} {said}")
    with ledger.database.reading() as session:
        totals = totals_of(session, EpochNumber(epoch))
        version = epochs.facts(session, EpochNumber(epoch), EpochState.FROZEN)["policyVersion"]
    print(f"  under policy {version}")
    parts = {
        "operators": totals.payout_wei,
        "carbon": totals.carbon_wei,
        "reserve": totals.reserve_wei,
        "rollover": totals.rollover_out_wei,
    }
    for name, amount in parts.items():
        print(f"  {name:9} {amount:>28} wei  {ath(amount)} ATH")
    print(f"  {'= budget':9} {sum(parts.values()):>28} wei  {ath(totals.budget_wei)} ATH, to the wei")
    for rank in range(min(CLAIMANTS, len(rehearsal.network.operators) - 1)):  # one is left to claim by hand
        try:
            quote = rehearsal.claim(ledger, rank)
        except LeafNotFoundError:
            continue  # in a small network an operator may have earned nothing yet
        print(f"  claimed   {checksum_address(quote.account)}  {ath(quote.cumulative_wei)} ATH in all")


def _conclude(ledger: "Ledger") -> None:
    from ledger.db import journal
    from ledger.steps.answers.standing import standing

    with ledger.database.reading() as session:
        balance = journal.trial_balance(session)
        heads = journal.verify_journal(session)
    found = standing(ledger)
    print(f"\nbooks      {found.seq} entries, {len(balance.accounts)} accounts, ", end="")
    print("balanced" if balance.is_balanced else f"NOT BALANCED: {balance.violations[0]}")
    for chain, head in heads.items():
        print(f"           {chain.value} chain: entry {head.number}, 0x{head.hash.hex()}")


def _verify(ledger: "Ledger") -> None:
    """Recompute every epoch from its evidence with the auditor's own calculator, and ask the chain."""
    from ledger.steps.auditing.chain import chain_witness
    from ledger.steps.auditing.epochs import last_sealed, verified_epochs

    settlement = ledger.settlement()
    witness = chain_witness(settlement.connection, settlement.deployment)
    checks = 0
    for report in verified_epochs(ledger, last_sealed(ledger), witness=witness):
        report.require()
        checks += len(report.checks)
    print(f"audited    {checks} checks: every epoch recomputed from its signed evidence by a second calculator")
    print("           and held against the headers on chain; all passed")


def _invite(rehearsal: "Rehearsal", ledger: "Ledger", root: Path, last: int) -> None:
    """What to try next, as commands that can be copied."""
    from ledger.settings import SECRETS_FILE

    option = "" if str(root) == DEFAULT_WORKSPACE else f" -w {root}"
    node = "0x" + rehearsal.network.nodes[0].node_id[:4].hex()
    operator = _claimant(rehearsal, ledger)
    keys = f"--keystore {root}/keys/operator-{operator}.json --password-file {root}/keys/password"
    print("\nNow ask it anything:  . .venv/bin/activate")
    if DATABASE_VARIABLE in os.environ:
        talk(f"(keep {DATABASE_VARIABLE} set, or put database_url into {root}/{SECRETS_FILE}: the books are there)")
    print(f"  ath-ledger node list{option}")
    print(f"  ath-ledger rewards explain --epoch {last} --node {node}{option}")
    print(f"  ath-ledger audit verify --epoch {last}{option}")
    if operator is not None:
        print(f"  ath-ledger rewards claim {keys}{option} --broadcast")


def _claimant(rehearsal: "Rehearsal", ledger: "Ledger") -> int | None:
    """An operator with a keystore who can still claim, with gas money to do it; the last such one."""
    from ledger.rehearsal import OPERATOR_KEYSTORES
    from ledger.steps.claim import claim_of
    from ledger.steps.recorded.operator_proof import NothingEarnedError

    for rank in reversed(range(min(OPERATOR_KEYSTORES, len(rehearsal.network.operators)))):
        try:
            claim = claim_of(ledger, rehearsal.network.operators[rank].address)
        except NothingEarnedError:
            continue
        if claim.quote.claimable_wei:
            rehearsal.fund_operator(ledger, rank)
            return rank
    return None


def _report(what: str, delivery: "Delivery") -> None:
    codes: dict[str, int] = {}
    for receipt in delivery.refused:
        codes[receipt.code] = codes.get(receipt.code, 0) + 1
    refused = ", ".join(f"{count} refused at the door: {code}" for code, count in sorted(codes.items()))
    print(f"{what:10} {delivery.admitted:,} signed items taken in{'; ' + refused if refused else ''}")


def _short(address: bytes) -> str:
    from ledger.model.units import Address
    from ledger.tree.keccak import checksum_address

    return checksum_address(Address(address))
