"""Nodes as a person reads them: registered ones, one with its history, the ones an epoch counted."""

from typing import Any

from ledger.db import epochs
from ledger.evidence.items.registration import NodeRegistration
from ledger.model.allocation import NodeStatement
from ledger.model.epoch import EpochState
from ledger.model.units import Address, EpochNumber, NodeId, to_hex
from ledger.steps.answers.index.statement_index import statement_index
from ledger.steps.ledger import Ledger
from ledger.steps.preparing.registering import NodeUnknownError, history, registrations
from ledger.steps.transitions.transition import utc
from ledger.tree.keccak import checksum_address


def registered_nodes(ledger: Ledger, operator: Address | None = None) -> list[dict[str, Any]]:
    """Every registered node by id, as its highest sequence has it."""
    latest: dict[NodeId, NodeRegistration] = {}
    with ledger.database.reading() as session:
        for signed in registrations(ledger, session, operator):
            registration = signed.registration
            known = latest.get(registration.node_id)
            if known is None or registration.sequence > known.sequence:
                latest[registration.node_id] = registration
    return [_row(latest[node]) for node in sorted(latest)]


def counted_nodes(
    ledger: Ledger,
    epoch: EpochNumber,
    operator: Address | None = None,
    *,
    after: NodeId | None = None,
    limit: int | None = None,
) -> list[dict[str, Any]]:
    """The nodes a computed epoch counted, by id, with their payout; all, or at most `limit` behind an id.

    Raises RowMissingError before it is computed.
    """
    with ledger.database.reading() as session:
        epochs.facts(session, epoch, EpochState.COMPUTED)
        index = statement_index(ledger, session, epoch, epochs.current(session, epoch).attempt)
    return [
        {
            "node_id": to_hex(paid.node_id),
            "operator": checksum_address(paid.operator),
            "model": paid.model,
            "zone": paid.zone,
            "country": paid.country,
            "gpus": paid.gpu_count,
            "payout_wei": paid.pay_wei,
        }
        for paid in index.page(after=after, limit=limit, operator=operator)
    ]


def node_fact(ledger: Ledger, node: NodeId) -> dict[str, Any]:
    """One node: what its highest sequence says, whether the running epoch may count it, every registration."""
    operator = _operator(ledger, node)
    found = history(ledger, node, operator)
    if not found:
        raise NodeUnknownError(f"no registration of node {to_hex(node)} has come in")
    last = found[-1].registration
    return {
        **_row(last),
        "serial": to_hex(last.serial),
        "gpu_ids": [to_hex(gpu) for gpu in last.gpu_ids],
        "registrations": [
            {
                "uid": to_hex(each.uid),
                "sequence": each.registration.sequence,
                "valid_from": utc(each.registration.valid_from),
                "valid_to": utc(each.registration.valid_to),
            }
            for each in found
        ],
        "payouts": _payouts(ledger, node),
    }


def _row(registration: NodeRegistration) -> dict[str, Any]:
    return {
        "node_id": to_hex(registration.node_id),
        "operator": checksum_address(registration.operator),
        "model": registration.model,
        "zone": registration.zone,
        "country": registration.country,
        "gpus": registration.gpu_count,
        "nameplate_w": registration.nameplate_w,
        "valid_from": utc(registration.valid_from),
        "valid_to": utc(registration.valid_to),
        "sequence": registration.sequence,
    }


def _computed(ledger: Ledger) -> list[EpochNumber]:
    with ledger.database.reading() as session:
        return [
            each.epoch
            for each in epochs.all_standings(session)
            if any(event.state is EpochState.COMPUTED for event in epochs.events(session, each.epoch))
        ]


def _operator(ledger: Ledger, node: NodeId) -> Address | None:
    """Whose node it is, from the last computed epoch, so that only its operator's registrations need reading."""
    found = [paid.operator for _, paid in _statements(ledger, node, last=1)]
    return found[0] if found else None


def _payouts(ledger: Ledger, node: NodeId) -> list[dict[str, Any]]:
    """The last computed epochs that counted the node, at most seven."""
    return [{"epoch": epoch, "payout_wei": paid.pay_wei} for epoch, paid in _statements(ledger, node, last=7)]


def _statements(ledger: Ledger, node: NodeId, *, last: int) -> list[tuple[EpochNumber, NodeStatement]]:
    """The node's statements in the last computed epochs."""
    found = []
    for epoch in _computed(ledger)[-last:]:
        with ledger.database.reading() as session:
            index = statement_index(ledger, session, epoch, epochs.current(session, epoch).attempt)
        paid = index.find(node)
        found += [(epoch, paid)] if paid else []
    return found
