"""An explanation as a page for a person, and as lines for a spreadsheet, from the document that every way in gives."""

from collections.abc import Mapping
from typing import Any

from ledger.cli.shared.output import Format, Row, emit_rows
from ledger.model.plain import ath
from ledger.tree.keccak import checksum_address, parse_address

Document = Mapping[str, Any]
"""What `explanation_document` gives, as JSON, with its amounts as integers."""
_SHORT = 14
_PARTS = {
    "budget": ("budget_wei", "R5.1"),
    "rollover in": ("rollover_in_wei", "R5.7"),
    "reserve": ("reserve_wei", "R4.13"),
    "carbon": ("carbon_wei", "R4.14"),
    "pool for nodes": ("pool_wei", "R4.16"),
    "rollover out": ("rollover_out_wei", "R4.18"),
}


def print_page(found: Document) -> None:
    """The whole explanation, section by section."""
    policy = found["policy"]
    print(f"node {found['node']}")
    operator = checksum_address(parse_address(found["operator"]))
    print(f"{found['gpu_count']} × {found['model']} in {found['zone']} ({found['country']}), operator {operator}")
    print(
        f"epoch {found['epoch']} ({found['state']}), policy {policy['version']} "
        f"({_short(policy['policy_hash'])}), rules {policy['rules_version']}"
    )
    pay, rounding = found["pay_wei"], found["share"]["rounding_wei"]
    print(f"\npayout {ath(pay)} ATH ({pay} wei), of these {rounding} wei by rounding")
    emit_rows(found["lines"], Format.TABLE)
    _print_missed(found)
    _section("factors", [_factor_row(line) for line in found["factors"]])
    _section("the epoch's budget", _carve_rows(found["carve_outs"]))
    _section("evidence", [_batch_row(use) for use in found["batches"]])
    _section("refused, missing or disputed", [_refused_row(each) for each in found["refused"]])
    _section("against the epoch before", found["before"])


def flat_rows(found: Document) -> list[Row]:
    """One line a figure."""
    rows = [_flat_row("line", each["line"], each["amount_wei"], "wei", each["rule"]) for each in found["lines"]]
    rows += [
        _flat_row("factor", line["symbol"], line["value"], line["unit"], f"{line['rule']}: {line['formula']}")
        for line in found["factors"]
    ]
    rows += [
        _flat_row("carve-out", name, amount, "wei", "")
        for name, amount in found["carve_outs"].items()
        if name.endswith("_wei")
    ]
    rows += [
        _flat_row("batch", use["uid"], use["counted"], "records", f"{use['schema']} {use['verdict']}")
        for use in found["batches"]
    ]
    rows += [
        _flat_row("refused", each["code"], None, each["scope"], f"{each['where']} {each['meaning']}".strip())
        for each in found["refused"]
    ]
    rows += [_flat_row("missed", each["name"], each["cost_wei"], "wei", each["sentence"]) for each in found["missed"]]
    return [*rows, _flat_row("memo", "low-efficiency", found["low_efficiency_wei"], "wei", "R4.20")]


def _flat_row(section: str, name: str, value: int | str | None, unit: str, detail: str) -> Row:
    return {
        "section": section, "name": name, "value": None if value is None else str(value), "unit": unit, "detail": detail
    }  # fmt: skip


def _print_missed(found: Document) -> None:
    if found["missed"]:
        print("\nmissed, the nearest first (others' weights as they were)")
    for missed in found["missed"]:
        print(f"  {missed['sentence']} [{missed['rule']}]")
    if found["missed_together_wei"] is not None:
        print(f"  all of them together cost {ath(found['missed_together_wei'])} ATH")
    memo = found["low_efficiency_wei"]
    if memo:
        print(f"\nmemo: drawing, or being charged, more than the reference cost {ath(memo)} ATH ({memo} wei) [R4.20]")


def _section(title: str, rows: list[dict[str, Any]]) -> None:
    if rows:
        print(f"\n{title}")
        emit_rows(rows, Format.TABLE)


def _factor_row(line: Document) -> dict[str, Any]:
    return {
        "": line["symbol"], "factor": line["name"], "value": line["value"], "unit": line["unit"],
        "from": line["formula"], "rule": line["rule"], "policy": line["policy_version"],
    }  # fmt: skip


def _carve_rows(totals: Document) -> list[dict[str, Any]]:
    return [{"part": part, "amount_wei": totals[name], "rule": rule} for part, (name, rule) in _PARTS.items()]


def _batch_row(use: Document) -> dict[str, Any]:
    return {
        "schema": use["schema"],
        "batch": _short(use["uid"]),
        "verifier": _short(use["verifier"]),
        "verdict": use["verdict"],
        "records": f"{use['counted']} of {len(use['records'])}",
        "says": ", ".join(f"{name} {value}" for name, value in use["says"].items()),
    }


def _refused_row(each: Document) -> dict[str, Any]:
    return {
        "what": each["scope"],
        "where": each["where"] or (_short(each["item"]) if each["item"] else ""),
        "verifier": _short(each["verifier"]) if each["verifier"] else "",
        "code": each["code"] or "noted",
        "why": each["meaning"] if each["code"] else each["detail"],
        "remedy": each["remedy"],
    }


def _short(hexadecimal: str) -> str:
    return f"{hexadecimal[:_SHORT]}…"
