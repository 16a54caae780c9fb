"""Log lines: one event each, with a stable name (noun.verb), UTC time and fields; secrets never reach a line.

Silent until `start_logging`, which a long-running process calls once: a library that only imports this prints nothing.
Standard output is never written to: it is data.
"""

import json
import logging
import logging.handlers
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

import structlog
from structlog.contextvars import bound_contextvars, merge_contextvars
from structlog.stdlib import BoundLogger, ProcessorFormatter, filter_by_level

from ledger.model.errors import LedgerError
from ledger.telemetry.secrets import keep_address_secret, redact, redacted

if TYPE_CHECKING:
    from ledger.settings import Settings

_NAME: Final = "ledger"
_JSON_EXACT: Final = 2**53
_QUIET_ROOT: Final = logging.WARNING
"""What libraries say below a warning is theirs alone: some of it spells out addresses with their keys."""

Event = MutableMapping[str, Any]

log: BoundLogger = structlog.wrap_logger(
    logging.getLogger(_NAME),
    processors=[filter_by_level, merge_contextvars, ProcessorFormatter.wrap_for_formatter],
    wrapper_class=BoundLogger,
)
"""The ledger's logger: `log.info("epoch.moved", epoch=3, state="sealed")`."""
logging.getLogger(_NAME).addHandler(logging.NullHandler())
logging.getLogger(_NAME).propagate = False


def start_logging(settings: "Settings", *, program: str, folder: Path) -> None:
    """Let this process log as the settings say: to stderr, or to `folder`/`program`.log, which may be rotated by name.

    What libraries log comes out the same way, as `<library>.said`. A second call replaces the first.
    Raises OSError when the file cannot be opened.
    """
    for address in (each for each in _addresses(settings) if each):
        keep_address_secret(address)
    handler: logging.Handler
    if settings.log_to == "folder":
        folder.mkdir(parents=True, exist_ok=True)
        handler = logging.handlers.WatchedFileHandler(folder / f"{program}.log", encoding="utf-8")
        human = settings.log_format == "human"
    else:
        handler = logging.StreamHandler(sys.stderr)
        human = settings.log_format == "human" or (settings.log_format == "auto" and _is_terminal(sys.stderr))
    handler.setFormatter(formatter(program=program, human=human))
    logging.raiseExceptions = False  # a full disk costs log lines, not the work they speak of
    logging.captureWarnings(capture=True)
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    for name, lowest in ((_NAME, level), ("", max(level, _QUIET_ROOT))):
        logger = logging.getLogger(name)
        for old in list(logger.handlers):
            logger.removeHandler(old)
            old.close()
        logger.addHandler(handler)
        logger.setLevel(lowest)


def stop_logging() -> None:
    """Be silent again."""
    logging.captureWarnings(capture=False)
    for name in (_NAME, ""):
        logger = logging.getLogger(name)
        for old in list(logger.handlers):
            logger.removeHandler(old)
            old.close()
    logging.getLogger(_NAME).addHandler(logging.NullHandler())


def bound(**fields: Any) -> AbstractContextManager[Any]:
    """Give every line of a `with` block these fields."""
    return bound_contextvars(**fields)


def failure(error: BaseException) -> dict[str, Any]:
    """The fields that tell a failure: its stable code, what was wrong, what to do."""
    if isinstance(error, LedgerError):
        return {"code": error.code, "what": error.what, "next": error.hint, "retryable": error.retryable}
    code = "environment.os" if isinstance(error, OSError) else "unexpected.error"
    return {"code": code, "what": f"{type(error).__name__}: {error}", "next": "ath-ledger doctor", "retryable": False}


def formatter(*, program: str, human: bool) -> logging.Formatter:
    """How a record becomes one line: named, dated, without secrets."""

    def named(_logger: Any, _method: str, event: Event) -> Event:
        record: logging.LogRecord = event["_record"]
        library = record.name.split(".")[0]
        head: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "level": record.levelname.lower(),
        }
        if event["_from_structlog"]:
            head |= {"event": event.pop("event"), "program": program, "pid": record.process}
        else:
            said = str(event.pop("event"))
            head |= {"event": f"{library}.said", "program": program, "pid": record.process, "message": said}
        return {**head, **event}

    return ProcessorFormatter(
        foreign_pre_chain=[merge_contextvars],
        processors=[
            named,
            ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _without_secrets,
            _human_line if human else _json_line,
        ],
    )


def _without_secrets(_logger: Any, _method: str, event: Event) -> Event:
    # text first, so that what is hidden in bytes and objects is searched as it will be printed
    return dict(redact(_printable(event)))


def _printable(value: Any) -> Any:
    match value:
        case bool() | None | float():
            return value
        case int():
            return value if abs(value) < _JSON_EXACT else str(value)
        case bytes():
            return "0x" + value.hex()
        case Mapping():
            return {str(name): _printable(each) for name, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_printable(each) for each in value]
        case _:
            return str(value)


def _json_line(_logger: Any, _method: str, event: Event) -> str:
    return json.dumps(event, ensure_ascii=True)


def _human_line(_logger: Any, _method: str, event: Event) -> str:
    at, level, name = (str(event.pop(each)) for each in ("at", "level", "event"))
    del event["program"], event["pid"]
    trace = event.pop("exception", None)
    fields = "".join(f"  {field}={_quoted(value)}" for field, value in event.items())
    return f"{at[:10]} {at[11:19]} UTC  {level:<8}{name}{fields}" + (f"\n{redacted(trace)}" if trace else "")


def _quoted(value: Any) -> str:
    """A value on one line: what somebody else wrote can neither start a new line nor steer the terminal."""
    text = value if isinstance(value, str) else json.dumps(value)
    if text and text.isprintable() and not set(text) & {" ", '"', "="}:
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _is_terminal(stream: TextIO) -> bool:
    return bool(stream is not None and stream.isatty())


def _addresses(settings: "Settings") -> list[str]:
    """Every address among the settings, whichever fields they are in."""
    values = settings.model_dump().values()
    flat = [each for value in values for each in (value if isinstance(value, list | tuple) else [value])]
    return [part for each in flat if isinstance(each, str) and "://" in each for part in each.split(",")]
