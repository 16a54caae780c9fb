"""A deployment is planned before it is made, made once, and found exactly as planned."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from ledger.chain.contracts.artefacts import ACCESS_MANAGER, ALL_CONTRACTS, ATH_TOKEN, POLICY_REGISTRY, REWARDS_LEDGER
from ledger.chain.contracts.roles import Role, guarded_functions
from ledger.chain.deploying.bootstrap import deploy
from ledger.chain.deploying.configuration import read_config
from ledger.chain.deploying.deployment import Deployment, DeploymentMissingError
from ledger.chain.deploying.plan import create_address, plan
from ledger.chain.errors import CallRevertedError, CodeMissingError, OtherGenesisError, WrongChainError
from ledger.chain.following.governed import NoPolicyError, policies, verifier_roles
from ledger.chain.following.roles_report import roles_report
from ledger.chain.node.connection import connect
from ledger.chain.sending.preflight import require_accepted
from ledger.chain.sending.signer import KeySigner
from ledger.db.faultpoint import FAULTPOINT_VARIABLE
from ledger.evidence.items.typed_data import Schema, schema_id
from ledger.model.errors import RefusedError, UsageError
from ledger.model.units import Address, EpochNumber, Hash32
from ledger.tree.commitments import policy_hash
from ledger.tree.keccak import parse_address

Network = Any  # conftest's


def test_created_addresses_follow_from_creator_and_nonce() -> None:
    creator = parse_address("0x6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0")
    expected = [
        "0xcd234a471b72ba2f1ccf0a70fcaba648a5eecd8d",
        "0x343c43a37d37dff08ae8c4a11544c718abb4fcf8",
        "0xf778b86fa74e846c4f0a1fbd1335fe81c00a0c91",
    ]
    assert [create_address(creator, nonce) for nonce in range(3)] == [parse_address(text) for text in expected]


def test_the_plan_needs_no_chain_and_is_what_gets_deployed(network: Network) -> None:
    planned = plan(network.config, network.deployer.address)
    assert planned.addresses == network.deployment.addresses
    assert [step.name for step in planned.steps] == [
        ACCESS_MANAGER,
        ATH_TOKEN,
        POLICY_REGISTRY,
        REWARDS_LEDGER,
        "first policy",
        "verifier 0 (uptime)",
        "verifier 1 (renewable)",
        "roles",
        "approve",
    ]
    assert planned.left_to_do == ()


def test_a_treasury_that_is_another_account_is_told_to_approve(make_config, network: Network) -> None:
    config = make_config(network.config.genesis, treasury="0x" + "7e" * 20)
    (left,) = plan(config, network.deployer.address).left_to_do
    assert "must approve the RewardsLedger" in left


def test_every_role_is_held_as_planned_with_its_delay(network: Network) -> None:
    report = roles_report(network.connection, network.deployment, network.connection.head())
    assert report.deviations == ()
    held = {(holder.role, holder.account): holder.delay_seconds for holder in report.holders}
    assert held == {
        (Role.ADMIN, network.governor.address): 7200,
        (Role.PUBLISHER, network.publisher.address): 0,
        (Role.GUARDIAN, network.guardian.address): 0,
        (Role.GOVERNOR, network.governor.address): 7200,
        (Role.RETIRER, network.governor.address): 0,
    }
    assert len(report.functions) == len(guarded_functions())


def test_the_deployer_may_nothing_afterwards(network: Network) -> None:
    ledger = network.deployment.rewards_ledger(network.connection)
    call = ledger.pause_claims()
    with pytest.raises(CallRevertedError, match="AccessManagedUnauthorized") as refused:
        require_accepted(network.connection, network.deployer.address, call.to, call.calldata)
    assert "chain roles" in refused.value.hint
    require_accepted(network.connection, network.guardian.address, call.to, call.calldata)


def test_a_governor_cannot_act_without_announcing_it(network: Network) -> None:
    registry = network.deployment.policy_registry(network.connection)
    call = registry.schedule(network.config.first_policy, EpochNumber(9))
    with pytest.raises(CallRevertedError, match="NotScheduled"):
        require_accepted(network.connection, network.governor.address, call.to, call.calldata)


def test_the_first_policy_governs_epoch_zero_and_comes_from_the_logs(network: Network) -> None:
    head = network.connection.head()
    found = policies(network.connection, network.deployment, head).policy_for_epoch(EpochNumber(0))
    assert found.policy == network.config.first_policy
    assert found.policy_hash == policy_hash(found.policy)
    registry = network.deployment.policy_registry(network.connection)
    assert registry.policy_at(EpochNumber(0), head.hash) == found.policy
    assert registry.policy_hash_at(EpochNumber(5), head.hash) == found.policy_hash


def test_before_the_deployment_no_policy_is_known(network: Network) -> None:
    before = network.connection.block(network.deployment.first_block)
    with pytest.raises(NoPolicyError):
        policies(network.connection, network.deployment, before).policy_for_epoch(EpochNumber(0))


def test_verifiers_hold_their_roles_from_epoch_zero(network: Network) -> None:
    book = verifier_roles(network.connection, network.deployment, network.connection.head())
    assert [role.order for role in book.roles] == [0, 1]
    (uptime,) = book.holders(schema_id(Schema.UPTIME), EpochNumber(0))
    assert uptime.verifier == b"\xc4" * 20
    (renewable,) = book.holders(schema_id(Schema.RENEWABLE), EpochNumber(10**6))
    assert renewable.registry_ids == (b"\x01" * 32,)


class TestTheDeploymentFile:
    def test_it_round_trips(self, network: Network, tmp_path: Path) -> None:
        network.deployment.write(tmp_path / "deployment.json")
        assert Deployment.read(tmp_path / "deployment.json") == network.deployment

    def test_a_missing_one_names_the_command(self, tmp_path: Path) -> None:
        with pytest.raises(DeploymentMissingError, match="chain deploy"):
            Deployment.read(tmp_path / "deployment.json")

    @pytest.mark.parametrize("text", ["", "{}", '{"format": "other"}', "[]"])
    def test_what_is_no_deployment_is_refused(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "deployment.json").write_text(text)
        with pytest.raises(UsageError):
            Deployment.read(tmp_path / "deployment.json")

    def test_it_is_checked_against_the_chain(self, network: Network) -> None:
        network.deployment.check(network.connection)
        changed = [
            ({"chain_id": 1}, WrongChainError),
            ({"genesis_hash": Hash32(b"\x01" * 32)}, OtherGenesisError),
            ({"code_hashes": dict.fromkeys(ALL_CONTRACTS, Hash32(b"\x01" * 32))}, CodeMissingError),
        ]
        from dataclasses import replace

        for fields, error in changed:
            with pytest.raises(error):
                replace(network.deployment, **fields).check(network.connection)


class TestTheConfiguration:
    def test_the_first_wrong_field_is_named(self, tmp_path: Path) -> None:
        file = tmp_path / "deploy.json"
        for document, words in [
            ("{", "no JSON"),
            ("{}", "genesis"),
            ('{"genesis": 3601}', "genesis: Input should be a multiple of 3600"),
        ]:
            file.write_text(document)
            with pytest.raises(UsageError, match=words):
                read_config(file)

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"window": 4 * 3600}, "window must be shorter"),
            ({"reserve": "0x" + "ab" * 19}, "reserve"),
            ({"policy": {}}, "policy"),
            ({"verifiers": [{"schema": "sunshine", "verifier": "0x" + "c4" * 20}]}, "unknown schema"),
            ({"surprise": 1}, "surprise"),
            ({"token": "0x12"}, "token"),
        ],
    )
    def test_what_the_contracts_would_refuse_is_refused_before(self, make_config, changes, words) -> None:
        with pytest.raises(ValueError, match=words):
            make_config(3600, **changes)

    def test_a_policy_outside_its_bounds_is_named(self, make_config, network: Network) -> None:
        policy = dict(network.config.policy) | {"reserveBps": 3001}
        with pytest.raises(ValueError, match=r"reserve_bps = 3001 is outside \[0, 3000\]"):
            make_config(3600, policy=policy)


class TestCrashes:
    @pytest.mark.parametrize("point", ["deploy.after_sign", "deploy.after_receipt"])
    def test_a_killed_deployment_goes_on_where_it_stopped(
        self, network: Network, make_config, make_funded, tmp_path: Path, point: str
    ) -> None:
        signer = KeySigner((0xFEED + len(point)).to_bytes(32, "big"))
        make_funded(network.connection, signer)
        treasury = "0x" + signer.address.hex()
        config = make_config(network.connection.head().timestamp // 3600 * 3600 + 7200, treasury=treasury)
        progress = tmp_path / "deploying.json"
        child = os.fork()
        if child == 0:
            try:
                os.environ[FAULTPOINT_VARIABLE] = point
                deploy(connect(network.connection.rpc_url), signer, config, progress_file=progress)
            finally:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        assert len(json.loads(progress.read_text())["transactions"]) == 1
        done = deploy(network.connection, signer, config, progress_file=progress)
        again = deploy(network.connection, signer, config, progress_file=progress)
        assert again.addresses == done.addresses == plan(config, signer.address).addresses
        assert network.connection.nonce(signer.address) == len(plan(config, signer.address).steps)

    def test_a_progress_file_of_another_deployment_is_refused(
        self, network: Network, make_config, tmp_path: Path
    ) -> None:
        (tmp_path / "p.json").write_text("{}")
        with pytest.raises(UsageError, match="another deployment"):
            deploy(network.connection, network.deployer, network.config, progress_file=tmp_path / "p.json")

    def test_after_genesis_nothing_is_deployed(self, network: Network, make_config) -> None:
        nonce = network.connection.nonce(network.deployer.address)
        with pytest.raises(RefusedError, match="past genesis"):
            deploy(network.connection, network.deployer, make_config(3600))
        assert network.connection.nonce(network.deployer.address) == nonce

    def test_an_existing_token_is_used_and_none_deployed(self, network: Network, make_config, make_funded) -> None:
        signer = KeySigner(b"\x31" * 32)
        make_funded(network.connection, signer)
        token = network.deployment.addresses[ATH_TOKEN]
        config = make_config(network.connection.head().timestamp // 3600 * 3600 + 7200, token="0x" + token.hex())
        done = deploy(network.connection, signer, config)
        assert done.addresses[ATH_TOKEN] == token
        assert done.rewards_ledger(network.connection).read("TOKEN", at="latest") == Address(token)
