"""Nodes as a person reads them: registered ones, one with its history, the ones an epoch counted."""

from typing import Any

from ledger.db import epochs
from ledger.evidence.registration import NodeRegistration
from ledger.model.epoch import EpochState
from ledger.model.units import Address, EpochNumber, NodeId, to_hex
from ledger.steps.ledger import Ledger
from ledger.steps.preparing.registering import NodeUnknownError, history, registrations
from ledger.steps.statements import statements_of
from ledger.steps.transition import utc
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


def counted_nodes(ledger: Ledger, epoch: EpochNumber, operator: Address | None = None) -> list[dict[str, Any]]:
    """The nodes a computed epoch counted, by id, with their payout. Raises RowMissingError before it is computed."""
    with ledger.database.reading() as session:
        epochs.facts(session, epoch, EpochState.COMPUTED)
        frame = statements_of(ledger.artefacts, session, epoch, epochs.current(session, epoch).attempt)
    return [
        {
            "node_id": to_hex(row["node_id"]),
            "operator": checksum_address(row["operator"]),
            **{name: row[name] for name in ("model", "zone", "country")},
            "gpus": row["gpu_count"],
            "payout_wei": int(row["pay_wei"]),
        }
        for row in frame.iter_rows(named=True)
        if operator is None or row["operator"] == operator
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
    for epoch in _computed(ledger)[-1:]:
        wanted = to_hex(node)
        for row in counted_nodes(ledger, epoch):
            if row["node_id"] == wanted:
                return Address(bytes.fromhex(row["operator"][2:]))
    return None


def _payouts(ledger: Ledger, node: NodeId) -> list[dict[str, Any]]:
    """The last computed epochs that counted the node, at most seven."""
    wanted = to_hex(node)
    found = []
    for epoch in _computed(ledger)[-7:]:
        rows = [row for row in counted_nodes(ledger, epoch) if row["node_id"] == wanted]
        found += [{"epoch": epoch, "payout_wei": row["payout_wei"]} for row in rows]
    return found
