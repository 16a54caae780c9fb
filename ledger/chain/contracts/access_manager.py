"""The AccessManager: who may call what, and after which delay."""

from dataclasses import dataclass

from ledger.chain.contracts.artefacts import ACCESS_MANAGER
from ledger.chain.contracts.contract import Call, Contract
from ledger.chain.node.connection import BlockAt
from ledger.model.units import Address, Hash32, Timestamp
from ledger.tree.abi import address_word
from ledger.tree.keccak import keccak256


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One account's standing in one role."""

    is_member: bool
    delay_seconds: int
    """How long what it does in this role must have been announced."""


class AccessManagerContract(Contract):
    """Who may call what, and after which delay."""

    contract = ACCESS_MANAGER

    def access(self, role: int, account: Address, at: BlockAt) -> Access:
        """Whether the account holds the role now, and its delay."""
        is_member, delay = self.read("hasRole", role, account, at=at)
        return Access(is_member=bool(is_member), delay_seconds=int(delay))

    def function_role(self, target: Address, selector: bytes, at: BlockAt) -> int:
        """The role a function asks for."""
        return int(self.read("getTargetFunctionRole", target, selector, at=at))

    def scheduled_for(self, operation: Hash32, at: BlockAt) -> Timestamp | None:
        """When a scheduled operation may be executed; None when it is not scheduled, done or expired."""
        found = int(self.read("getSchedule", operation, at=at))
        return Timestamp(found) if found else None

    def schedule(self, call: Call, when: Timestamp = Timestamp(0)) -> Call:  # noqa: B008 - a plain integer
        """Announce a delayed call; 0 = as early as the delay allows."""
        return self.call("schedule", call.to, call.calldata, when)

    def execute(self, call: Call) -> Call:
        """Do what was announced."""
        return self.call("execute", call.to, call.calldata)

    def cancel(self, caller: Address, call: Call) -> Call:
        """Take an announcement back: the caller itself or the role's guardian."""
        return self.call("cancel", caller, call.to, call.calldata)


def operation_id(caller: Address, call: Call) -> Hash32:
    """The AccessManager's name for an announced call: keccak256(abi.encode(caller, target, data))."""
    padding = -len(call.calldata) % 32
    return keccak256(
        address_word(caller) + address_word(call.to) + (96).to_bytes(32, "big")
        + len(call.calldata).to_bytes(32, "big") + call.calldata + bytes(padding)
    )  # fmt: skip
