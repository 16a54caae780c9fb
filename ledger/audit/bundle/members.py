"""Getting at the members of a bundle that has been opened: documents, lines, and other modules' readers."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from ledger.audit.bundle.error import MemberInvalidError
from ledger.audit.bundle.values import parsed, parsed_lines
from ledger.model.errors import LedgerError

Result = TypeVar("Result")
Members = Mapping[str, memoryview]
"""The bytes of each member by its name."""


def document_in(members: Members, name: str) -> Any:
    """The value of a canonical JSON member; MemberInvalidError otherwise."""
    return parsed(members[name], name)


def lines_in(members: Members, name: str) -> Iterator[tuple[str, Any]]:
    """Where each line of a member stands, and its value."""
    for number, value in enumerate(parsed_lines(members[name], name), start=1):
        yield f"{name} line {number}", value


def member_of(document: object, name: str, where: str) -> Any:
    """One member of a JSON object."""
    if not isinstance(document, dict) or name not in document:
        raise MemberInvalidError(f"{where} has no {name!r}")
    return document[name]


def text_of(value: object, where: str) -> bytes:
    """The bytes of a JSON text."""
    if not isinstance(value, str):
        raise MemberInvalidError(f"{where} is no text")
    return value.encode("utf-8")


def read_with(where: str, read: Callable[[], Result]) -> Result:
    """What a reader of another module makes of a member; its refusal becomes the bundle's."""
    try:
        return read()
    except MemberInvalidError:
        raise
    except LedgerError as error:
        raise MemberInvalidError(f"{where}: {error.what}") from error
    except (ValueError, OverflowError) as error:
        raise MemberInvalidError(f"{where}: {str(error)[:200]}") from error
