"""Random sequences of calls: the contracts on Anvil equal a model of them, view by view and storage word by word.

The model (`sim.contract`, which the simulator's chain executes) is written from the contracts' guarantees, in whole
numbers and dictionaries; it also says which refusal a call meets and which events it emits. Any sender, right or wrong
headers, right or stale leaves, times to the second around every border.
"""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from sim import wire
from sim.contract import Model, RefusedError

from ledger.chain.contracts.artefacts import CARBON_VAULT, REWARDS_LEDGER, interface, storage_slot
from ledger.chain.contracts.rewards_ledger import header_words
from ledger.chain.deploying.bootstrap import deploy
from ledger.chain.deploying.deployment import Deployment
from ledger.chain.errors import CallRevertedError
from ledger.chain.node.connection import Connection
from ledger.chain.sending.preflight import require_accepted
from ledger.chain.sending.signer import KeySigner
from ledger.model.header import EpochHeader
from ledger.model.units import ZERO_ADDRESS, ZERO_HASH, Address, EpochNumber, Hash32, MicrogramsCo2e, Wei, to_hex
from ledger.tree.abi import address_word, uint_word
from ledger.tree.commitments import policy_hash
from ledger.tree.keccak import keccak256
from ledger.tree.payout import payout_proof, payout_tree
from ledger.tree.standard import StandardTree

ATH = 10**18
ACCOUNTS = [Address(keccak256(b"account %d" % number)[:20]) for number in range(7)]
OUTSIDER = Address(keccak256(b"outsider")[:20])
GAS = 5_000_000


@dataclass(slots=True, kw_only=True)
class Mirrored(Model):
    """The model, and what the contract's views and storage must show of it."""

    def logs(self) -> list[tuple[str, tuple[str, ...], str]]:
        """What the last call emitted, as a receipt has it."""
        places = {REWARDS_LEDGER: self.ledger, CARBON_VAULT: self.vault}
        made = [wire.log(name, values) for name, values in self.events]
        return [
            (to_hex(places[contract]), tuple(to_hex(topic) for topic in topics), to_hex(data))
            for contract, topics, data in made
        ]

    def views(self) -> dict[tuple[Any, ...], Any]:
        """What each view of the ledger returns."""
        whole: dict[tuple[Any, ...], Any] = {
            ("claimRoot",): self.claim_root,
            ("previousRoot",): self.previous_root,
            ("savedRoot",): self.saved_root,
            ("savedPreviousRoot",): self.saved_previous_root,
            ("lastHeaderHash",): self.last_hash,
            ("nextEpoch",): self.next_epoch,
            ("rollover",): self.rollover,
            ("pending",): (self.activates_at, self.pending_hash),
            ("proposalsOpen",): self.proposals_open,
            ("paused",): self.paused,
        }
        for account in ACCOUNTS:
            whole["claimed", account] = self.claimed.get(account, 0)
            whole["payeeOf", account] = self.payee_of(account)
            whole["nonces", account] = self.nonces.get(account, 0)
        return whole

    def ledger_storage(self) -> dict[Hash32, bytes]:
        """Each word of RewardsLedger's storage that these calls can change."""
        progress = self.next_epoch | self.activates_at << 64 | self.rollover << 128
        progress |= self.proposals_open << 224 | self.paused << 232
        words = {
            _slot("claimRoot"): self.claim_root,
            _slot("previousRoot"): self.previous_root,
            _slot("savedRoot"): self.saved_root,
            _slot("savedPreviousRoot"): self.saved_previous_root,
            _slot("_headerHashes"): self.header_hashes[0],
            _slot("_headerHashes", 1): self.header_hashes[1],
            _slot("_progress"): uint_word(progress),
        }
        for account in ACCOUNTS:
            kept = int.from_bytes(self.payees.get(account, ZERO_ADDRESS), "big") << 96
            words[_entry("_accounts", address_word(account))] = uint_word(kept | self.claimed.get(account, 0))
            words[_entry("_nonces", address_word(account))] = uint_word(self.nonces.get(account, 0))
        return words

    def vault_storage(self) -> dict[Hash32, bytes]:
        """The vault's running sums up to the epoch after the last."""
        slot = uint_word(storage_slot(CARBON_VAULT, "_through"))
        return {
            keccak256(uint_word(epoch) + slot): uint_word(owed | paid_for << 80 | received << 160)
            for epoch in range(self.next_epoch + 1)
            for owed, paid_for, received in [self.carbon_through.get(epoch, (0, 0, 0))]
        }


def _slot(name: str, offset: int = 0) -> Hash32:
    return Hash32(uint_word(storage_slot(REWARDS_LEDGER, name) + offset))


def _entry(name: str, key: bytes) -> Hash32:
    return keccak256(key + _slot(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A leaf as somebody presents it: with the amount changed it is not in its tree."""

    tree: StandardTree
    account: Address
    cumulative: int

    def proof(self) -> list[Hash32]:
        return list(payout_proof(self.tree, self.account).proof)


class Play:
    """Chooses calls at random, makes them on both sides, compares."""

    def __init__(self, connection: Connection, deployment: Deployment, model: Mirrored, seed: int) -> None:
        self.random = random.Random(seed)
        self.connection = connection
        self.deployment = deployment
        self.model = model
        self.now = connection.head().timestamp
        self.trees: list[StandardTree] = []
        self.awarded = dict.fromkeys(ACCOUNTS, 0)
        self.next_awarded = self.awarded
        self.proposed: EpochHeader | None = None
        self.seen: Counter[str] = Counter()
        self.logs: list[tuple[str, tuple[str, ...], str]] = []

    def play(self, calls: int) -> Counter[str]:
        """How often each call went through (`claim`) and how often each refusal was met (`claim WindowOpen`)."""
        choices: list[tuple[Callable[[], None], int]] = [
            (self.propose, 6), (self.revoke, 2), (self.reopen, 3), (self.activate, 8), (self.claim, 8),
            (self.claim_many, 4), (self.set_payee, 3), (self.pause, 1), (self.resume, 3), (self.supersede, 3),
        ]  # fmt: skip
        names, weights = zip(*choices, strict=True)
        for _ in range(calls):
            self.random.choices(names, weights)[0]()
            self.compare()
        return self.seen

    def propose(self) -> None:
        model, budget = self.model, self.model.policy.epoch_budget_wei
        reserve = budget * model.policy.reserve_bps // 10_000
        carbon = self.random.choice([0, 1, budget * model.policy.carbon_cap_bps // 10_000])
        awards = [self.random.choice([0, 1, self.random.randrange(50 * ATH)]) for _ in ACCOUNTS]
        payout = sum(awards) if self.random.random() < 0.8 else 0
        root = model.saved_root if model.paused else model.claim_root
        tree, totals = None, dict(self.awarded)
        if payout:
            totals = {account: total + new for (account, total), new in zip(totals.items(), awards, strict=True)}
            tree = payout_tree(list(totals), list(totals.values()))
            root = tree.root
        header = EpochHeader(
            epoch=EpochNumber(model.next_epoch), claim_root=root, ledger_head=self.hash(),
            policy_hash=model.policy_hash,
            manifest_hash=self.hash(), parent_hash=model.last_hash, payout=Wei(payout), carbon=Wei(carbon),
            reserve=Wei(reserve), rollover=Wei(budget + model.rollover - payout - carbon - reserve),
            residual_micrograms=MicrogramsCo2e(self.random.choice([0, 10**9, self.random.randrange(10**14)])),
        )  # fmt: skip
        over = model.genesis + (model.next_epoch + 1) * model.epoch_length
        header = self.perhaps_wrong(header)
        if self.act("propose", self.sender("publisher"), self.around(over), header):
            self.proposed = header
            if tree is not None and header.claim_root == tree.root:
                self.trees.append(tree)
                self.next_awarded = totals
            else:
                self.next_awarded = self.awarded

    def activate(self) -> None:
        header = self.proposed or self.any_header()
        if self.act("activate", self.anyone(), self.around(self.model.activates_at), self.perhaps_wrong(header)):
            self.awarded = self.next_awarded

    def revoke(self) -> None:
        """Sometimes proposes first, without which there is nothing to revoke."""
        if self.random.random() < 0.5:
            self.propose()
        header = self.perhaps_wrong(self.proposed or self.any_header())
        self.act("revoke", self.sender("guardian"), self.later(), header)

    def reopen(self) -> None:
        self.act("reopen", self.sender("governor"), self.later())

    def pause(self) -> None:
        self.act("pause", self.sender("guardian"), self.later())

    def resume(self) -> None:
        self.act("resume", self.sender("governor"), self.later())

    def supersede(self) -> None:
        """Sometimes pauses first, without which there is nothing to see."""
        if self.random.random() < 0.4:
            self.act("pause", self.model.roles["guardian"], self.later())
        totals = {account: total + self.random.randrange(2) * ATH for account, total in self.awarded.items()}
        tree = payout_tree(list(totals), list(totals.values()))
        header = replace(
            self.any_header(), epoch=EpochNumber(max(0, self.model.next_epoch - 1)), claim_root=tree.root,
            parent_hash=self.model.last_hash, rollover=Wei(self.model.rollover),
        )  # fmt: skip
        if self.act("supersede", self.sender("governor"), self.later(), self.perhaps_wrong(header)):
            self.trees.append(tree)
            self.awarded = totals

    def claim(self) -> None:
        if self.trees:
            leaf = self.leaf()
            self.act("claim", self.anyone(), self.later(), leaf.account, leaf.cumulative, leaf.proof())

    def claim_many(self) -> None:
        if self.trees:
            leaves = [self.leaf() for _ in range(self.random.randrange(5))]
            accounts, cumulatives = [leaf.account for leaf in leaves], [leaf.cumulative for leaf in leaves]
            proofs = [leaf.proof() for leaf in leaves]
            self.act("claim_many", self.anyone(), self.later(), accounts, cumulatives, proofs)

    def set_payee(self) -> None:
        odd = [ZERO_ADDRESS, self.model.ledger, self.model.token, OUTSIDER]
        self.act("set_payee", self.anyone(), self.later(), self.random.choice(ACCOUNTS + odd))

    def act(self, name: str, sender: Address, now: int, *arguments: Any) -> bool:
        """Make the call on both sides. Both go through, or both refuse for the same reason and nothing changes."""
        wanted = self.model.copied()
        refusal = None
        try:
            getattr(wanted, name)(sender, now, *arguments)
        except RefusedError as refused:
            refusal = str(refused)
        met = self.send(sender, now, _calldata(name, *arguments))
        assert met == refusal, f"{name} at {now}: the chain says {met}, the model {refusal}, after {self.seen}"
        self.seen[name if refusal is None else f"{name} {refusal}"] += 1
        if refusal is None:
            assert self.logs == wanted.logs(), f"{name} at {now}: other events than {wanted.events}"
            self.model = wanted
        return refusal is None

    def send(self, sender: Address, now: int, calldata: bytes) -> str | None:
        """A transaction in a block of this second; the name of its refusal, or None when it went through."""
        self.now = now
        self.connection.rpc("evm_setNextBlockTimestamp", now)
        transaction = {"from": to_hex(sender), "to": to_hex(self.model.ledger), "data": to_hex(calldata)}
        tx_hash = self.connection.rpc("eth_sendTransaction", transaction | {"gas": hex(GAS), "gasPrice": hex(10**10)})
        # Anvil answers before it has mined
        while (receipt := self.connection.rpc("eth_getTransactionReceipt", tx_hash)) is None:
            time.sleep(0.005)
        if int(receipt["status"], 16):
            ours = {to_hex(self.model.ledger), to_hex(self.model.vault)}
            self.logs = [
                (log["address"], tuple(log["topics"]), log["data"]) for log in receipt["logs"] if log["address"] in ours
            ]
            return None
        block = int(receipt["blockNumber"], 16)
        try:
            require_accepted(self.connection, sender, self.model.ledger, calldata, at=block)
        except CallRevertedError as error:
            return error.reason.partition("(")[0]
        return "accepted by the block after"

    def compare(self) -> None:
        """Views, storage of ledger and vault, balances."""
        views = self.model.views()
        reads = [(self.model.ledger, interface(REWARDS_LEDGER).encode(name, *rest)) for name, *rest in views]
        holders = [*self.model.balances, OUTSIDER]
        reads += [(self.model.token, interface("AthToken").encode("balanceOf", holder)) for holder in holders]
        calls = [("eth_call", [{"to": to_hex(to), "data": to_hex(data)}, "latest"]) for to, data in reads]
        answers = [bytes.fromhex(answer[2:]) for answer in self.connection.rpc_batch(calls)]
        for (name, *rest), answer in zip(views, answers, strict=False):
            values = interface(REWARDS_LEDGER).returned(name, answer)
            assert (values if len(values) > 1 else values[0]) == views[name, *rest], (name, rest, self.seen)
        for holder, answer in zip(holders, answers[len(views) :], strict=True):
            assert int.from_bytes(answer, "big") == self.model.balances.get(holder, 0), (holder.hex(), self.seen)
        for address, words in (
            (self.model.ledger, self.model.ledger_storage()),
            (self.model.vault, self.model.vault_storage()),
        ):
            stored = self.connection.storage_many(address, list(words), "latest")
            assert dict(zip(words, stored, strict=True)) == words, self.seen

    def leaf(self) -> Leaf:
        tree = self.random.choice([*self.trees[-2:], *self.trees[-2:], self.random.choice(self.trees)])
        account = self.random.choice(ACCOUNTS)
        there = payout_proof(tree, account).cumulative_wei
        cumulative = there if self.random.random() < 0.95 else there + 1
        return Leaf(tree=tree, account=account, cumulative=cumulative)

    def any_header(self) -> EpochHeader:
        return EpochHeader(
            epoch=EpochNumber(self.model.next_epoch), claim_root=self.hash(), ledger_head=self.hash(),
            policy_hash=self.model.policy_hash, manifest_hash=self.hash(), parent_hash=self.model.last_hash,
            payout=Wei(0), carbon=Wei(0), reserve=Wei(0), rollover=Wei(0), residual_micrograms=MicrogramsCo2e(0),
        )  # fmt: skip

    def perhaps_wrong(self, header: EpochHeader) -> EpochHeader:
        """One time in four with one member changed."""
        if self.random.random() < 0.75:
            return header
        name = self.random.choice(list(EpochHeader.__dataclass_fields__))
        value = getattr(header, name)
        if isinstance(value, bytes):
            return replace(header, **{name: self.random.choice([ZERO_HASH, self.hash()])})
        changed = 2**72 if name == "residual_micrograms" else abs(value + self.random.choice([-1, 1]))
        return replace(header, **{name: changed})

    def sender(self, role: str) -> Address:
        return self.model.roles[role] if self.random.random() < 0.85 else self.anyone()

    def anyone(self) -> Address:
        return self.random.choice(ACCOUNTS)

    def later(self) -> int:
        return self.now + self.random.randrange(1, 300)

    def around(self, border: int) -> int:
        """The second before the border, the border, or soon; never back in time."""
        return max(self.now + 1, border + self.random.choice([-1, 0, 0, 1, 100]))

    def hash(self) -> Hash32:
        return Hash32(self.random.randbytes(32))


FUNCTIONS = {
    "propose": "proposeEpoch", "revoke": "revokeEpoch", "reopen": "reopenProposals", "activate": "activateEpoch",
    "claim": "claim", "claim_many": "claimMany", "set_payee": "setPayee", "pause": "pauseClaims",
    "resume": "resumeClaims", "supersede": "supersedeRoot",
}  # fmt: skip


def _calldata(name: str, *arguments: Any) -> bytes:
    values = [header_words(value) if isinstance(value, EpochHeader) else value for value in arguments]
    return interface(REWARDS_LEDGER).encode(FUNCTIONS[name], *values)


def begin(connection: Connection, make_config: Callable[..., Any], seed: int) -> Play:
    """Contracts of their own, whose governors need no notice, a day before genesis."""
    genesis = (connection.head().timestamp // 3600 + 24) * 3600
    deployer = KeySigner(keccak256(b"deployer of play %d" % seed))
    config = make_config(genesis, governance_delay=0, treasury=to_hex(deployer.address))
    connection.rpc("anvil_autoImpersonateAccount", True)
    connection.rpc("anvil_setBalance", to_hex(deployer.address), hex(10**24))
    deployment = deploy(connection, deployer, config)
    senders = [Address(each[0]) for each in (config.roles.publisher, config.roles.guardian, config.roles.governor)]
    for account in [*ACCOUNTS, *senders]:
        connection.rpc("anvil_setBalance", to_hex(account), hex(10**24))
    model = Mirrored(
        ledger=deployment.addresses["RewardsLedger"], token=deployment.addresses["AthToken"],
        vault=deployment.addresses["CarbonVault"], treasury=deployment.treasury, reserve=deployment.reserve,
        roles=dict(zip(("publisher", "guardian", "governor"), senders, strict=True)), genesis=genesis,
        epoch_length=config.epoch_length, window=config.window, policy=config.first_policy,
        policy_hash=policy_hash(config.first_policy), balances={deployment.treasury: 42 * 10**9 * ATH},
    )  # fmt: skip
    return Play(connection, deployment, model, seed)


def test_a_random_sequence_equals_the_model(connection: Connection, make_config: Callable[..., Any]) -> None:
    seen = begin(connection, make_config, 1).play(60)
    assert {"propose", "activate", "claim"} <= set(seen), seen


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3, 4])
def test_long_random_sequences_equal_the_model(
    connection: Connection, make_config: Callable[..., Any], seed: int
) -> None:
    seen = begin(connection, make_config, seed).play(300)
    assert set(FUNCTIONS) <= set(seen), f"never went through: {set(FUNCTIONS) - set(seen)}"
