"""The outer edge of the command line: every failure becomes one clear line and a documented exit code.

0 ok or already done · 1 unexpected · 2 usage · 3 not found · 4 verification mismatch · 5 chain, database,
lock or disk · 6 transaction reverted or dropped · 7 refused by a rule, the policy or a role · 8 cancelled.
"""

import os
import sys
import traceback
from itertools import takewhile
from typing import NoReturn

import typer
import typer.exceptions

from ledger.cli.shared.output import talk
from ledger.model.errors import LedgerError
from ledger.telemetry.secrets import redacted

CANCELLED = 8
_INTERRUPTED = 130
"""What Typer makes of Ctrl-C before it gets here."""
BROKEN_PIPE = 0
_NO_COLUMN_HOLDS = "too large to convert to SQLite INTEGER"
"""How SQLite's driver says that a number, an epoch's for example, has more than 64 bits."""


def main() -> NoReturn:
    """Run the command line; never returns, never shows a stack trace unless ATH_LEDGER_DEBUG is set."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    from ledger.cli.app import app

    try:
        result = app(arguments, prog_name="ath-ledger", standalone_mode=False)
    except LedgerError as error:
        _debug()
        talk(_sentence(error))
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return _cancelled()
    except typer.exceptions.TyperException as error:
        talk(f"usage.invalid: {str(error).rstrip('.?! ')}. Next: {_help_of(error)} --help")
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        _debug()
        what = f"environment.os: {redacted(str(error))}"
        talk(f"{what}. Next: check the disk and the permissions of the workspace, then run again")
        return 5
    except OverflowError as error:
        if _NO_COLUMN_HOLDS not in str(error):
            return _unexpected(error)
        _debug()
        talk(f"usage.invalid: a number is beyond any this ledger has. Next: {_asked(arguments)} --help")
        return 2
    except Exception as error:  # noqa: BLE001 - the edge: no stack trace reaches a user
        return _unexpected(error)
    if result == _INTERRUPTED:
        return _cancelled()
    return result if isinstance(result, int) else 0


def _unexpected(error: Exception) -> int:
    _debug()
    talk(
        f"unexpected.error: {type(error).__name__}: {redacted(str(error))}."
        " Next: run again with ATH_LEDGER_DEBUG=1 and report it"
    )
    return 1


def _asked(arguments: list[str]) -> str:
    """The command that was asked for, without its options."""
    words = takewhile(lambda word: word.isascii() and word.replace("-", "").isalpha() and word[0] != "-", arguments)
    return " ".join(["ath-ledger", *words])


def _sentence(error: LedgerError) -> str:
    """What went wrong, without the passwords and access keys of any address in it, and what to do."""
    what = f"{error.code}: {redacted(error.what)}"
    return f"{what}. Next: {error.hint}" if error.hint else what


def _cancelled() -> int:
    talk("user.cancelled: stopped; what was done is kept. Next: run the same command again")
    return CANCELLED


def _debug() -> None:
    if os.environ.get("ATH_LEDGER_DEBUG"):
        traceback.print_exc()


def _help_of(error: typer.exceptions.TyperException) -> str:
    """The command whose help explains the error, as far as the error knows it."""
    context = getattr(error, "ctx", None)
    return str(context.command_path) if context is not None else "ath-ledger"
