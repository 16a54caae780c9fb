"""Bad input at the contracts' door: refused under its own name, with the numbers that say why and the next step.

What the command line finds before anything is sent is in test_cli_governance; here it is the contracts that say no,
to calls that came from another wallet or a stolen key. Tokens that reenter, lie or keep a fee cannot be deployed by
the command line: contracts/test/HostileTokens.t.sol tries them, and here only that their refusals can be read.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from ledger.chain.contracts.artefacts import CARBON_VAULT, POLICY_REGISTRY, REWARDS_LEDGER
from ledger.chain.contracts.contract import Call
from ledger.chain.contracts.remedies import REMEDIES
from ledger.chain.errors import CallRevertedError
from ledger.chain.sending.signer import open_keystore, read_password
from ledger.chain.sending.transact import plan_transaction, send
from ledger.model.header import EpochHeader
from ledger.model.policy import Policy
from ledger.model.units import ZERO_HASH, Bps, EpochNumber, Hash32, MicrogramsCo2e, Wei, to_hex
from ledger.steps.settlement import Settlement
from ledger.workspace import Workspace

Desk = Any  # conftest's
GENESIS, EPOCH_SECONDS, WINDOW = 1_700_006_400, 14_400, 3600
H = Hash32(b"\x77" * 32)


class Network:
    """A deployed network without epochs, and what its role holders may try there."""

    def __init__(self, desk: Desk, settlement: Settlement) -> None:
        self.desk, self.settlement = desk, settlement

    @property
    def policy(self) -> Policy:
        policy: Policy = self.registry.policy_at(EpochNumber(0), "latest")
        return policy

    @property
    def registry(self) -> Any:
        return self.settlement.deployment.policy_registry(self.settlement.connection)

    @property
    def manager(self) -> Any:
        return self.settlement.deployment.access_manager(self.settlement.connection)

    def do(self, role: str, call: Call) -> None:
        """Send it from a wallet of its own, past every check of the command line."""
        _, keystore, _, password_file = self.desk.key(role)
        signer = open_keystore(Path(keystore), read_password(Path(password_file)))
        connection = self.settlement.connection
        send(connection, signer, plan_transaction(connection, signer.address, call))

    def refusal(self, role: str, call: Call) -> str:
        with pytest.raises(CallRevertedError) as caught:
            self.do(role, call)
        assert caught.value.exit_code == 7
        assert caught.value.hint != "read the reason; nothing was sent"
        return str(caught.value)

    def execute_announced(self, call: Call) -> str:
        """A call announced by another wallet, executed by command after its delay; what the command says."""
        self.do("governor", self.manager.schedule(call))
        (operation,) = self.desk.data("gov", "status")
        self.desk.do("chain", "warp", "--to", str(operation["ready_at"]))
        execute = ("gov", "execute", operation["operation"], *self.desk.key("governor"), "--broadcast")
        code, _, err = self.desk.do(*execute)
        assert code == 7
        result: str = err
        return result

    def header(self) -> EpochHeader:
        """Epoch 0 with nothing in it but the reserve, as the contract takes it once the epoch is over."""
        policy = self.policy
        reserve = policy.epoch_budget_wei * policy.reserve_bps // 10_000
        return EpochHeader(
            epoch=EpochNumber(0),
            claim_root=ZERO_HASH,
            ledger_head=H,
            policy_hash=self.registry.policy_hash_at(EpochNumber(0), "latest"),
            manifest_hash=H,
            parent_hash=ZERO_HASH,
            payout=Wei(0),
            carbon=Wei(0),
            reserve=Wei(reserve),
            rollover=Wei(policy.epoch_budget_wei - reserve),
            residual_micrograms=MicrogramsCo2e(0),
        )


@pytest.fixture
def network(desk: Desk) -> Iterator[Network]:
    tables, config = desk.files()
    command = ("chain", "deploy", "--config", config, "--tables", tables, *desk.key("deployer"), "--broadcast")
    assert desk.do(*command)[0] == 0
    ledger = Workspace.at(desk.root).open(read_only=True)
    yield Network(desk, ledger.settlement())
    ledger.close()


def test_a_policy_out_of_bounds_or_a_step_too_far_names_parameter_and_limit(network: Network) -> None:
    out = replace(network.policy, reserve_bps=Bps(3001))
    said = network.execute_announced(network.registry.schedule(out, 5))
    assert "OutOfBounds(parameter=reserveBps, value=3001, min=0, max=3000)" in said
    assert "Next: stay within the bounds" in said


def test_a_step_too_far_names_where_from_where_to_and_how_far_it_may_go(network: Network) -> None:
    far = replace(network.policy, reserve_bps=Bps(1101))
    said = network.execute_announced(network.registry.schedule(far, 5))
    assert "StepTooLarge(parameter=reserveBps, from=1000, to=1101, max_step=100)" in said
    assert "Next: go in smaller steps" in said


@pytest.mark.parametrize(("effective", "at_epoch"), [(1, 0), (0, 2), (2, 2)], ids=["soon", "past", "running"])
def test_too_little_notice_names_the_earliest_epoch(network: Network, effective: int, at_epoch: int) -> None:
    network.desk.do("chain", "warp", "--to", str(GENESIS + at_epoch * EPOCH_SECONDS))
    said = network.execute_announced(network.registry.schedule(network.policy, effective))
    assert f"NoticeTooShort(effective_epoch={effective}, earliest={at_epoch + 2})" in said
    assert "--effective-epoch" in said


def test_a_policy_for_an_epoch_that_is_proposed_already_is_refused(network: Network) -> None:
    network.desk.do("chain", "warp", "--to", str(GENESIS + EPOCH_SECONDS))
    network.do("publisher", network.settlement.rewards_ledger.propose_epoch(network.header()))
    said = network.execute_announced(network.registry.schedule(network.policy, 0))
    assert "NoticeTooShort(effective_epoch=0, earliest=3)" in said


def test_a_policy_in_force_cannot_be_cancelled(network: Network) -> None:
    network.desk.do("chain", "warp", "--to", str(GENESIS))
    said = network.refusal("governor", network.registry.cancel(EpochNumber(0)))
    assert f"AlreadyEffective(effective_epoch=0, starts_at={GENESIS}, timestamp=" in said


def test_who_lacks_the_role_or_skips_the_delay_is_refused_by_the_contract_too(network: Network) -> None:
    contract = network.settlement.rewards_ledger
    assert "AccessManagedUnauthorized(caller=0x" in network.refusal("publisher", contract.pause_claims())
    skipped = network.refusal("governor", network.registry.schedule(network.policy, 9))
    assert "AccessManagerNotScheduled" in skipped or "AccessManagedRequiredDelay" in skipped


def test_what_is_executed_too_early_cancelled_or_expired_is_refused_by_the_manager_too(network: Network) -> None:
    call = network.registry.schedule(replace(network.policy, reserve_bps=Bps(950)), 90)
    network.do("governor", network.manager.schedule(call))
    (operation,) = network.desk.data("gov", "status")
    in_flight = {row["role"]: row["in_flight"] for row in network.desk.data("chain", "roles")}
    assert in_flight["GOVERNOR"].startswith("PolicyRegistry.schedule(")
    assert "waiting, from " in in_flight["GOVERNOR"]
    assert not in_flight["GUARDIAN"]
    execute = network.manager.execute(call)
    assert f"AccessManagerNotReady(operation_id={operation['operation']})" in network.refusal("governor", execute)
    network.desk.do("gov", "cancel", operation["operation"], *network.desk.key("governor"), "--broadcast")
    assert f"AccessManagerNotScheduled(operation_id={operation['operation']})" in network.refusal("governor", execute)
    network.do("governor", network.manager.schedule(call))
    network.desk.do("chain", "warp", "--by", str(9 * 86_400))
    assert f"AccessManagerExpired(operation_id={operation['operation']})" in network.refusal("governor", execute)
    code, _, err = network.desk.do("gov", "execute", operation["operation"], *network.desk.key("governor"))
    assert code == 7
    assert "expired at" in err


WRONG_HEADERS: dict[str, tuple[Callable[[EpochHeader], EpochHeader], str]] = {
    "epoch": (lambda good: replace(good, epoch=EpochNumber(1)), "WrongEpoch(expected=0, given=1)"),
    "claim_root": (
        lambda good: replace(good, claim_root=H),
        f"RootWithoutPayout(current={to_hex(ZERO_HASH)}, given={to_hex(H)})",
    ),
    "claim_root of a payout": (
        lambda good: replace(good, payout=Wei(1), rollover=Wei(good.rollover - 1)),
        "RootMissing()",
    ),
    "policy_hash": (lambda good: replace(good, policy_hash=H), f"given={to_hex(H)})"),
    "parent_hash": (
        lambda good: replace(good, parent_hash=H),
        f"WrongParent(expected={to_hex(ZERO_HASH)}, given={to_hex(H)})",
    ),
    "payout": (lambda good: replace(good, payout=Wei(1), claim_root=H), "WrongTotal(expected="),
    "carbon": (lambda good: replace(good, carbon=good.rollover, rollover=Wei(0)), "CarbonAboveCap(carbon="),
    "reserve": (
        lambda good: replace(good, reserve=Wei(good.reserve - 1), rollover=Wei(good.rollover + 1)),
        "WrongReserve(expected=",
    ),
    "rollover": (lambda good: replace(good, rollover=Wei(good.rollover + 1)), "WrongTotal(expected="),
    "residual_micrograms": (
        lambda good: replace(good, residual_micrograms=MicrogramsCo2e(2**72)),
        f"ResidualTooLarge(residual_micrograms={2**72}, max={2**72 - 1})",
    ),
}
"""Field → the header with it wrong, and the refusal. ledger_head and manifest_hash are hashes of what only the books
and the evidence have: the contract takes any, `audit verify` and a watching guardian do not."""


def test_a_header_with_any_field_wrong_is_refused_by_name(network: Network) -> None:
    contract, good = network.settlement.rewards_ledger, network.header()
    early = network.refusal("publisher", contract.propose_epoch(good))
    assert f"EpochNotOver(epoch=0, ends_at={GENESIS + EPOCH_SECONDS}, timestamp=" in early
    network.desk.do("chain", "warp", "--to", str(GENESIS + EPOCH_SECONDS))
    for field, (spoil, refusal) in WRONG_HEADERS.items():
        assert refusal in network.refusal("publisher", contract.propose_epoch(spoil(good))), field
    assert "NothingPending()" in network.refusal("publisher", contract.activate_epoch(good))
    network.do("publisher", contract.propose_epoch(good))
    assert "EpochPending(header_hash=0x" in network.refusal("publisher", contract.propose_epoch(good))
    assert "WrongHeader(expected=0x" in network.refusal(
        "publisher", contract.activate_epoch(replace(good, ledger_head=ZERO_HASH))
    )
    assert "WindowOpen(activates_at=" in network.refusal("publisher", contract.activate_epoch(good))


def test_a_correction_is_refused_while_claims_go_on(network: Network) -> None:
    said = network.execute_announced(network.settlement.rewards_ledger.supersede_root(network.header()))
    assert "ClaimsAreNotPaused()" in said
    assert "ath-ledger gov pause" in said


def test_every_refusal_of_our_contracts_has_a_next_step_of_its_own() -> None:
    own = {
        entry["name"]
        for contract in (REWARDS_LEDGER, POLICY_REGISTRY, CARBON_VAULT)
        for entry in json.loads((files("ledger.data") / "contracts" / f"{contract}.json").read_text())["abi"]
        if entry["type"] == "error"
    }
    libraries = {name for name in own if name.startswith(("Access", "EIP712", "ECDSA", "Invalid", "Nonces", "String"))}
    assert own - libraries - {"TransferFailed"} - set(REMEDIES) == set()
