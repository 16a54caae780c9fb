"""No parameter is ignored: one that a route does not have, or that is given twice, is refused."""

from typing import Any, Final

from fastapi import Request
from fastapi.dependencies.models import Dependant

from ledger.api.problems import ParameterRepeatedError, ParameterUnknownError

_KNOWN: Final[dict[Any, frozenset[str]]] = {}
"""By endpoint: its signature says what it reads."""


async def only_known_parameters(request: Request) -> None:
    """Refuse what nobody would read. ParameterUnknownError, ParameterRepeatedError."""
    if not request.scope["query_string"]:
        return
    route = request.scope["route"]
    known = _KNOWN.get(route.endpoint)
    if known is None:
        known = _KNOWN[route.endpoint] = frozenset(_names(route.dependant))
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if name not in known:
            accepted = ", ".join(sorted(known)) or "none"
            raise ParameterUnknownError(f"there is no parameter {name[:60]!r} here; there are: {accepted}")
    for name in given:
        if given.count(name) > 1:
            raise ParameterRepeatedError(f"{name} is given {given.count(name)} times")


def _names(dependant: Dependant) -> set[str]:
    names = {each.alias for each in dependant.query_params}
    for below in dependant.dependencies:
        names |= _names(below)
    return names
