"""An epoch whole: its summary with every transition between, the same from a workspace and from a server."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

_AT_THE_END: Final = ("transactions", "verdicts", "refused_at_the_door", "files")


def epoch_document(summary: Mapping[str, Any], transitions: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What `epoch_summary` and `transition_rows` tell, in the order a person reads it."""
    document = {name: value for name, value in summary.items() if name not in _AT_THE_END}
    for event in transitions:
        told = document[f"{event['number']} {event['state']}"] = {"at": event["at"], **event["facts"]}
        if event["reason"]:
            told["reason"] = event["reason"]
    return document | {name: summary[name] for name in _AT_THE_END}
