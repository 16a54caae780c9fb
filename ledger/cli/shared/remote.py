"""`--url`: the same questions asked of a server instead of a workspace, and printed the same way."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.cli.shared.output import Format, Standing, emit_fact, emit_rows
from ledger.model.errors import UsageError

if TYPE_CHECKING:
    from ledger.client.client import LedgerClient
    from ledger.client.transport import Fact, Pages

URL_VARIABLE = "ATH_LEDGER_URL"

UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar=URL_VARIABLE,
        show_envvar=False,
        help=f"ask this server's HTTP API instead of a workspace (default: ${URL_VARIABLE}, if it is set)",
    ),
]


@contextmanager
def elsewhere(url: str | None, workspace: Path | None) -> Iterator["LedgerClient | None"]:
    """The server to ask, for the length of a command; None where the workspace answers.

    Naming a workspace wins over the variable.
    """
    if workspace is not None or url is None or not url.strip():
        yield None
        return
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"{url!r} is no server's address", hint="--url http://HOST:PORT")
    from ledger.client.client import LedgerClient  # httpx; commands on a workspace need none of it

    with LedgerClient(url) as client:
        yield client


def emit_found(found: "Fact[Any]", output: Format) -> None:
    """Print one thing as a workspace's answer is printed."""
    emit_fact(with_integers(found.data), output, shown_standing(found.standing))


def emit_pages(found: "Pages[Any]", output: Format, *, leave_out: str = "") -> None:
    """Print a whole list as a workspace's answer is printed: a server may tell a column more."""
    rows = [{name: with_integers(value, name) for name, value in row.items() if name != leave_out} for row in found]
    emit_rows(rows, output, shown_standing(found.standing))


def shown_standing(standing: Mapping[str, Any] | None) -> Standing | None:
    """The standing that came with an answer."""
    return None if standing is None else Standing(**standing)


def with_integers(value: Any, name: str = "") -> Any:
    """An answer with its amounts as the integers they are, so that tables can show them in ATH too."""
    if isinstance(value, Mapping):
        return {key: with_integers(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [with_integers(item, name) for item in value]
    if name.endswith("_wei") and isinstance(value, str):
        return int(value)
    return value
