"""Write docs/reference/errors.md, and the codes in docs/howto/README.md, from the classes of errors themselves.

python scripts/error_reference.py           write it
python scripts/error_reference.py --check   end with 1 when one of them is not what it should be
"""

import importlib
import pkgutil
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import ledger
from ledger.model.errors import LedgerError
from ledger.model.howto import page_of, pages
from ledger.model.refusals import REFUSALS, ItemRefusedError

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "errors.md"
INDEX = ROOT / "docs" / "howto" / "README.md"
_BY_CODE = "## By code\n"

FINDINGS = {
    "chain.endpoint-down": ("one of several endpoints is of no use", "mend it, or take it out of `rpc_url`"),
    "chain.silent": ("the chain's last block is old", "check the node and this machine's clock"),
    "clock.behind": ("this machine is behind the chain's last block", "set the clock (NTP)"),
    "clock.behind-books": ("the books were written later than now", "set the clock before anything else"),
    "clock.jumps": ("the clock is being set while it runs", "let NTP slew it"),
    "disk.full": ("less than 256 MiB are free", "free some"),
    "disk.low": ("less than 2 GiB are free", "free some soon"),
    "environment.os": ("the operating system refuses something", "check disk and permissions of the workspace"),
    "epoch.revoked": ("a revoked epoch waits to be computed again", "`ath-ledger epoch show N`"),
    "governance.no-holder": ("nobody holds a role", "`ath-ledger chain roles`"),
    "keys.readable": ("keys are open to other users", "`chmod 600`, `chmod 700`"),
    "settle.open": ("transactions are on their way", "`ath-ledger run`"),
    "settle.publisher-role": ("the publisher's key does not hold the role", "`ath-ledger chain roles`"),
    "settle.stuck": ("a transaction has been on its way for an hour", "`ath-ledger run`, and read what it says"),
    "submissions.waiting": ("submissions wait for their verdict", "start a worker"),
    "treasury.allowance": ("the treasury lets the contract take too little", "let it approve more"),
    "treasury.balance": ("the treasury has too little for the next epoch", "send ATH to it"),
    "unexpected.error": ("a defect", "run again with `ATH_LEDGER_DEBUG=1` and report it"),
    "workers.none": ("nobody listens at the broker", "`ath-ledger worker`"),
    "workspace.folder": ("a folder is missing or cannot be written", "what the finding says"),
    "workspace.unbound": ("the books belong to no network yet", "`ath-ledger chain deploy`"),
}
"""Codes without a class of their own: what `doctor`, `/readyz` and the outer edge say."""

_HEAD = """# Codes of errors

Every failure has a stable code: program against it, not against the sentence. The command line prints
`code: what was wrong. Next: what to do` and ends with the exit code; the HTTP API answers with the status and an
`application/problem+json` that has the same `code`. Written by `scripts/error_reference.py` from the classes
themselves.

Exit codes: 0 ok or already done · 1 unexpected · 2 usage · 3 not found · 4 verification mismatch · 5 chain, database,
lock or disk · 6 transaction reverted or dropped · 7 refused by a rule, the policy or a role · 8 cancelled. ↻: the same
call may succeed later without anybody changing anything.
"""


def classes() -> list[type[LedgerError]]:
    """Every class of error in the program, by code."""
    for module in pkgutil.walk_packages(ledger.__path__, "ledger."):
        importlib.import_module(module.name)
    found = {each for each in _below(LedgerError) if each.__module__.startswith("ledger.")}
    refusals = {each for each in found if issubclass(each, ItemRefusedError) and each is not ItemRefusedError}
    return sorted(found - refusals, key=lambda each: (each.code, each.__qualname__))


def text() -> str:
    """The whole page."""
    return "\n".join(
        [
            _HEAD,
            "| code | exit | HTTP | meaning | next |",
            "|---|---|---|---|---|",
            *_rows(),
            "",
            "## What only doctor, /readyz and the outer edge say",
            "",
            "| code | meaning | next |",
            "|---|---|---|",
            *(
                f"| {_code(code)} | {meaning} | {_next(remedy, code)} |"
                for code, (meaning, remedy) in sorted(FINDINGS.items())
            ),
            "",
            "## Refusals of evidence",
            "",
            "Exit code 7; over HTTP the verdict of a submission that was taken in. `scope` is what a refusal takes out",
            "of the epoch, `rule` the rule of [the specification](../spec/rewards.md) (R3.n) it enforces.",
            "",
            "| code | scope | rule | meaning | next |",
            "|---|---|---|---|---|",
            *(
                f"| `{each.code}` | {each.scope.value} | {each.rule or '–'} | {each.meaning} | {each.remedy} |"
                for each in REFUSALS.values()
            ),
            "",
        ]
    )


def _rows() -> Iterator[str]:
    from ledger.api.problems import status_of

    by_code: dict[str, list[type[LedgerError]]] = {}
    for each in classes():
        by_code.setdefault(each.code, []).append(each)
    for code, kinds in by_code.items():
        meanings = " / ".join(dict.fromkeys(_meaning(each) for each in kinds))
        again = " ↻" if kinds[0].retryable else ""
        exits = "/".join(dict.fromkeys(str(each.exit_code) for each in kinds))
        status = "/".join(dict.fromkeys(str(int(status_of(each))) for each in kinds))
        yield f"| {_code(code)} | {exits} | {status} | {meanings}{again} | {_next(kinds[0].default_hint, code)} |"


def _below(kind: type[LedgerError]) -> Iterator[type[LedgerError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _below(each)


def _meaning(kind: type[LedgerError]) -> str:
    first = re.split(r"\n\s*\n", (kind.__doc__ or "").strip())[0]
    return _cell(" ".join(first.split()))


def _code(code: str) -> str:
    return f"`{code}`"


def _next(remedy: str, code: str) -> str:
    page = page_of(code)
    link = f" [more](../howto/{page.rsplit('/', 1)[-1]})" if page else ""
    return _cell(remedy) + link


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def index() -> str:
    """The index of how-to pages, its list of codes made anew."""
    kept = INDEX.read_text(encoding="utf-8").split(_BY_CODE)[0]
    by_code = sorted((code, page) for page, codes in pages().items() for code in codes)
    rows = [f"| `{code}` | [{page.removesuffix('.md')}]({page}) |" for code, page in by_code]
    lines = [
        kept + _BY_CODE,
        "Codes that are not here need no page: [errors.md](../reference/errors.md) has them all.",
        "",
        "| code | page |",
        "|---|---|",
        *rows,
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    """Write both pages, or compare them."""
    wanted = {PAGE: text(), INDEX: index()}
    if "--check" in sys.argv:
        wrong = [page.name for page, made in wanted.items() if page.read_text(encoding="utf-8") != made]
        print(f"{', '.join(wrong)}: run python scripts/error_reference.py" if wrong else "the codes are as they are")
        return 1 if wrong else 0
    for page, made in wanted.items():
        page.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
