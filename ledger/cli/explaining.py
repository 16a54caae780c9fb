"""`ath-ledger rewards explain`: why one node was paid what it was paid, as a page or as JSON."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.cli.opening import WorkspaceOption, reading, standing_of
from ledger.cli.output import Format, Output, Row, emit_fact, emit_rows, talk
from ledger.cli.signing import parse_account
from ledger.model.errors import UsageError
from ledger.model.plain import ath
from ledger.model.units import EpochNumber

if TYPE_CHECKING:
    from ledger.steps.answers.explain import Explanation

_SHORT = 12


def add_to(app: typer.Typer) -> None:
    """Put the command into `rewards`."""
    app.command("explain")(explain)


def explain(
    node: Annotated[
        str | None, typer.Option("--node", help="the node's id, or enough of its first digits to name one node")
    ] = None,
    epoch: Annotated[int | None, typer.Option("--epoch", min=0, help="default: the last computed epoch")] = None,
    operator: Annotated[
        str | None, typer.Option("--operator", help="without --node: list this operator's nodes; with: look among them")
    ] = None,
    workspace: WorkspaceOption = None,
    output: Output = Format.TABLE,
) -> None:
    """Why is my reward X? Evidence, factors, rules, lines in wei, what was refused, what a missed threshold cost."""
    from ledger.steps.answers.explain import explain as explain_node
    from ledger.steps.answers.explain import last_computed, node_rows

    account = None if operator is None else parse_account(operator, "--operator")
    with reading(workspace) as ledger:
        standing = standing_of(ledger)
        number = last_computed(ledger) if epoch is None else EpochNumber(epoch)
        if node is None:
            if account is None:
                raise UsageError(
                    "name a node", hint="ath-ledger rewards explain --node ID, or --operator ADDRESS to list its nodes"
                )
            emit_rows(node_rows(ledger, number, account), output, standing)
            talk(f"epoch {number}. Next: ath-ledger rewards explain --epoch {number} --node ID")
            return
        found = explain_node(ledger, number, node, account)
    from ledger.steps.answers.explanation_document import explanation_document

    match output:
        case Format.JSON:
            emit_fact(explanation_document(found), output, standing)
        case Format.CSV:
            emit_rows(_flat(found), output)
        case Format.TABLE:
            _print_page(found)
            talk(str(standing))


def _flat(found: "Explanation") -> list[Row]:
    """One line a figure, for spreadsheets."""
    from ledger.steps.answers.explanation_document import payout_lines

    totals = found.totals
    rows = [_flat_row("line", each["line"], each["amount_wei"], "wei", each["rule"]) for each in payout_lines(found)]
    rows += [
        _flat_row("factor", line.symbol, line.value, line.unit, f"{line.rule}: {line.formula}")
        for line in found.factors
    ]
    rows += [
        _flat_row("carve-out", name, getattr(totals, name), "wei", "")
        for name in totals.__dataclass_fields__
        if name.endswith("_wei")
    ]
    rows += [
        _flat_row("batch", "0x" + use.uid.hex(), use.counted, "records", f"{use.schema} {use.verdict}")
        for use in found.evidence.batches
    ]
    rows += [
        _flat_row("refused", each.code, None, each.scope, f"{each.where} {each.meaning}".strip())
        for each in found.evidence.refusals
    ]
    rows += [_flat_row("missed", each.name, each.cost_wei, "wei", each.sentence) for each in found.missed]
    return [*rows, _flat_row("memo", "low-efficiency", found.low_efficiency_wei, "wei", "R4.20")]


def _flat_row(section: str, name: str, value: int | None, unit: str, detail: str) -> Row:
    return {
        "section": section, "name": name, "value": None if value is None else str(value), "unit": unit, "detail": detail
    }  # fmt: skip


def _print_page(found: "Explanation") -> None:
    from ledger.steps.answers.explain import comparison_rows
    from ledger.steps.answers.explanation_document import payout_lines
    from ledger.tree.keccak import checksum_address

    paid = found.paid
    print(f"node 0x{paid.node_id.hex()}")
    print(
        f"{paid.gpu_count} × {paid.model} in {paid.zone} ({paid.country}), operator {checksum_address(paid.operator)}"
    )
    print(
        f"epoch {found.epoch} ({found.state}), policy {found.policy.version} "
        f"(0x{found.policy.policy_hash.hex()[:_SHORT]}…), rules {found.rules_version}"
    )
    print(f"\npayout {ath(paid.pay_wei)} ATH ({paid.pay_wei} wei), of these {found.rounding_wei} wei by rounding")
    emit_rows(payout_lines(found), Format.TABLE)
    _print_missed(found)
    _section("factors", [_factor_row(line) for line in found.factors])
    _section("the epoch's budget", _carve_rows(found))
    _section("evidence", [_batch_row(use) for use in found.evidence.batches])
    _section("refused, missing or disputed", [_refused_row(each) for each in found.evidence.refusals])
    _section("against the epoch before", comparison_rows(found))


def _print_missed(found: "Explanation") -> None:
    from ledger.steps.answers.explanation_document import cost_sentence

    if found.missed:
        print("\nmissed, the nearest first (others' weights as they were)")
    for missed in found.missed:
        sentence = cost_sentence(missed, is_one_of_several=len(found.missed) > 1)
        print(f"  {sentence} [{missed.rule}]")
    if found.together_wei is not None:
        print(f"  all of them together cost {ath(found.together_wei)} ATH")
    if found.low_efficiency_wei:
        print(
            f"\nmemo: drawing, or being charged, more than the reference cost {ath(found.low_efficiency_wei)} ATH "
            f"({found.low_efficiency_wei} wei) [R4.20]"
        )


def _section(title: str, rows: list[dict[str, Any]]) -> None:
    if rows:
        print(f"\n{title}")
        emit_rows(rows, Format.TABLE)


def _factor_row(line: Any) -> dict[str, Any]:
    return {
        "": line.symbol, "factor": line.name, "value": str(line.value), "unit": line.unit, "from": line.formula,
        "rule": line.rule, "policy": line.policy_version,
    }  # fmt: skip


def _carve_rows(found: "Explanation") -> list[dict[str, Any]]:
    totals = found.totals
    parts = {
        "budget": (totals.budget_wei, "R5.1"),
        "rollover in": (totals.rollover_in_wei, "R5.7"),
        "reserve": (totals.reserve_wei, "R4.13"),
        "carbon": (totals.carbon_wei, "R4.14"),
        "pool for nodes": (totals.pool_wei, "R4.16"),
        "rollover out": (totals.rollover_out_wei, "R4.18"),
    }
    return [{"part": name, "amount_wei": amount, "rule": rule} for name, (amount, rule) in parts.items()]


def _batch_row(use: Any) -> dict[str, Any]:
    return {
        "schema": use.schema,
        "batch": f"0x{use.uid.hex()[:_SHORT]}…",
        "verifier": f"0x{use.verifier.hex()[:_SHORT]}…",
        "verdict": use.verdict,
        "records": f"{use.counted} of {len(use.records)}",
        "says": ", ".join(f"{name} {value}" for name, value in use.says.items()),
    }


def _refused_row(each: Any) -> dict[str, Any]:
    return {
        "what": each.scope,
        "where": each.where or (f"0x{each.item.hex()[:_SHORT]}…" if each.item else ""),
        "verifier": f"0x{each.verifier.hex()[:_SHORT]}…" if each.verifier else "",
        "code": each.code or "noted",
        "why": each.meaning if each.code else each.detail,
        "remedy": each.remedy,
    }
