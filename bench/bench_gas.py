"""Gas of whole transactions on Anvil, with proofs from a payout tree of 435,000 leaves.

    python bench/bench_gas.py                  prints the table
    python bench/bench_gas.py --write          and writes bench/results/gas.json
    python bench/bench_gas.py --check          and fails when a median is more than 1 % above that file, or above its
                                               limit

Real transactions through the shipped artefacts: 21,000 and calldata included. Every figure of a claim is the median
over 24 accounts. Accounts, awards and figures of the headers are synthetic.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median_low
from typing import Any

from ledger.chain.contracts.contract import Call
from ledger.chain.deploying.bootstrap import deploy
from ledger.chain.deploying.configuration import DeploymentConfig
from ledger.chain.deploying.deployment import Deployment
from ledger.chain.local.anvil import AnvilProcess
from ledger.chain.node.connection import Connection, connect
from ledger.chain.sending.signer import KeySigner
from ledger.model.header import EpochHeader
from ledger.model.units import ZERO_HASH, Address, EpochNumber, Hash32, MicrogramsCo2e, Timestamp, Wei, to_hex
from ledger.tree.commitments import header_hash, policy_hash
from ledger.tree.keccak import keccak256
from ledger.tree.payout import payout_proof, payout_tree
from ledger.tree.standard import StandardTree

RESULTS = Path(__file__).resolve().parent / "results" / "gas.json"
LEAVES = 435_000
SAMPLES = 24
BATCH = 100
ATH = 10**18
START = Timestamp(1_749_913_200)
LIMITS = {
    "first_median": 94_400,
    "first_as_holder_median": 77_300,
    "next_epoch_median": 60_200,
    "claim_many_one_payee_each": 27_000,
    "propose_and_activate_from_third": 200_000,
}
TITLES = {
    "first_median": "claim, first ever, payee without a balance",
    "first_as_holder_median": "claim, first ever, payee already a holder",
    "next_epoch_median": "claim, next epoch",
    "previous_root_median": "claim, next epoch, on the previous root",
    "claim_many_one_payee_each": "claimMany of 100 to one payee, each",
    "claim_many_own_payees_each": "claimMany of 100 to a payee each, each",
    "propose": "proposeEpoch, third epoch",
    "activate": "activateEpoch, third epoch",
    "propose_and_activate_from_third": "both, third epoch",
    "set_payee_median": "setPayee, first by an account that has claimed",
}
POLICY = {
    "epochBudgetWei": str(50_000_000 * ATH), "reserveBps": 1000, "carbonCapBps": 500,
    "carbonPriceWeiPerTonne": str(800 * ATH), "uMinPpm": 900_000, "uFullPpm": 990_000, "kEffBps": 5000,
    "sClampPpm": 400_000, "pueRefE4": 15_400, "gMatchBps": 2000, "t2QualityBps": 2500, "gGridBps": 500,
    "refEfMgPerKwh": 475_000, "maxMultPpm": 1_500_000, "quorumQ": 3, "quorumK": 5, "countNuclear": False,
    "tablesHash": "0x" + "7a" * 32,
}  # fmt: skip


class Bench:
    """A deployed ledger, and the trees it was paid by."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        connection.rpc("anvil_autoImpersonateAccount", True)
        signer = KeySigner(keccak256(b"deployer of the gas bench"))
        self.operator = signer.address
        connection.rpc("anvil_setBalance", to_hex(self.operator), hex(10**24))
        self.config = self._config()
        self.deployment: Deployment = deploy(connection, signer, self.config)
        self.ledger = self.deployment.rewards_ledger(connection)
        self.accounts = [Address(keccak256(b"account %d" % number)[:20]) for number in range(LEAVES)]
        self.parent = Hash32(ZERO_HASH)
        self.rollover = 0
        self.tree: StandardTree | None = None

    def _config(self) -> DeploymentConfig:
        me = to_hex(self.operator)
        roles = {role: [me] for role in ("publisher", "guardian", "governor", "retirer", "admin")}
        return DeploymentConfig.model_validate({
            "genesis": START + 86_400, "epoch_length": 86_400, "window": 21_600, "governance_delay": 0,
            "policy": POLICY, "verifiers": [], "treasury": me, "reserve": "0x" + "5e" * 20, "roles": roles,
        })  # fmt: skip

    def epoch(self, number: int) -> tuple[int, int]:
        """Award every account and post the epoch; gas of the proposal and of the activation."""
        # 6.6 to 7.6 ATH per epoch: amounts as long as real ones
        awards = [(number + 1) * (66 * ATH // 10 + int.from_bytes(each[:7], "big")) for each in self.accounts]
        payout = sum(awards) // (number + 1)
        self.tree = payout_tree(self.accounts, awards)
        budget = self.config.first_policy.epoch_budget_wei
        carbon, reserve = 100 * ATH, budget // 10
        self.rollover += budget - payout - carbon - reserve
        header = EpochHeader(
            epoch=EpochNumber(number), claim_root=self.tree.root, ledger_head=keccak256(b"head %d" % number),
            policy_hash=policy_hash(self.config.first_policy), manifest_hash=keccak256(b"manifest %d" % number),
            parent_hash=self.parent, payout=Wei(payout), carbon=Wei(carbon), reserve=Wei(reserve),
            rollover=Wei(self.rollover), residual_micrograms=MicrogramsCo2e(10**11),
        )  # fmt: skip
        self.parent = header_hash(header)
        over = START + 86_400 * (number + 2)
        proposed = self.send(self.operator, self.ledger.propose_epoch(header), at=over)
        return proposed, self.send(self.operator, self.ledger.activate_epoch(header), at=over + 21_600)

    def send(self, sender: Address, call: Call, at: int | None = None) -> int:
        """Gas used by one transaction that has to go through."""
        if at is not None:
            self.connection.rpc("evm_setNextBlockTimestamp", at)
        self.connection.rpc("anvil_setBalance", to_hex(sender), hex(10**24))
        transaction = {"from": to_hex(sender), "to": to_hex(call.to), "data": to_hex(call.calldata)}
        tx_hash = self.connection.rpc("eth_sendTransaction", transaction | {"gas": hex(25_000_000)})
        # Anvil answers before it has mined
        while (receipt := self.connection.rpc("eth_getTransactionReceipt", tx_hash)) is None:
            time.sleep(0.01)
        if not int(receipt["status"], 16):
            raise SystemExit(f"{call} was reverted")
        return int(receipt["gasUsed"], 16)

    def claims(self, accounts: Iterable[Address], tree: StandardTree | None = None) -> list[int]:
        """Gas of a claim for each account."""
        used = []
        for account in accounts:
            leaf = payout_proof(tree or self.root_tree, account)
            used.append(self.send(account, self.ledger.claim(account, leaf.cumulative_wei, leaf.proof)))
        return used

    def claim_many(self, accounts: list[Address]) -> int:
        """Gas of one claim in a batch."""
        leaves = [payout_proof(self.root_tree, account) for account in accounts]
        call = self.ledger.claim_many(
            accounts, [leaf.cumulative_wei for leaf in leaves], [leaf.proof for leaf in leaves]
        )  # fmt: skip
        return self.send(self.operator, call) // len(accounts)

    @property
    def root_tree(self) -> StandardTree:
        """The tree of the last epoch."""
        if self.tree is None:
            raise SystemExit("no epoch yet")
        return self.tree


def measure(bench: Bench) -> dict[str, int]:
    """Every figure, from three epochs."""
    # far apart in the tree; groups do not overlap
    spread = bench.accounts[:: LEAVES // 400]
    plain, holders, late = spread[:SAMPLES], spread[24 : 24 + SAMPLES], spread[48 : 48 + SAMPLES]
    together, apart = spread[100 : 100 + BATCH], spread[200 : 200 + BATCH]
    fund = Address(keccak256(b"fund")[:20])
    token = bench.deployment.token(bench.connection)
    bench.epoch(0)
    for account in holders:
        bench.send(bench.operator, token.call("transfer", account, 1))
    first, holding = bench.claims(plain), bench.claims(holders)
    bench.claims([*late, *together, *apart])
    naming = [bench.send(account, bench.ledger.set_payee(fund)) for account in together]
    bench.send(bench.operator, token.call("transfer", fund, 1))
    bench.epoch(1)
    before = bench.root_tree
    following = bench.claims(plain)
    one, own = bench.claim_many(together), bench.claim_many(apart)
    proposed, activated = bench.epoch(2)
    return {
        "first_median": median_low(first),
        "first_as_holder_median": median_low(holding),
        "next_epoch_median": median_low(following),
        "previous_root_median": median_low(bench.claims(late, before)),
        "claim_many_one_payee_each": one,
        "claim_many_own_payees_each": own,
        "propose": proposed,
        "activate": activated,
        "propose_and_activate_from_third": proposed + activated,
        "set_payee_median": median_low(naming[:SAMPLES]),
    }


def failures(figures: dict[str, int], committed: dict[str, Any]) -> list[str]:
    """What rose by more than 1 %, or above its limit."""
    found = [f"{name}: {figures[name]:,} is above its limit {limit:,}" for name, limit in LIMITS.items()
             if figures[name] > limit]  # fmt: skip
    for name, gas in figures.items():
        if gas * 100 > committed.get(name, gas) * 101:
            found.append(f"{name}: {gas:,} is more than 1 % above {committed[name]:,}")
    return found


def main() -> int:
    """Measure, print, write or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    with AnvilProcess.start(timestamp=START) as node:
        figures = measure(Bench(connect(node.rpc_url)))
    for name, gas in figures.items():
        limit = f"limit {LIMITS[name]:>7,}" if name in LIMITS else ""
        print(f"{TITLES[name]:50} {gas:>9,}  {limit}".rstrip())
    committed = json.loads(RESULTS.read_text("utf-8")) if options.check else {}
    found = failures(figures, committed)
    for line in found:
        print(line, file=sys.stderr)
    if options.write:
        RESULTS.parent.mkdir(exist_ok=True)
        document = {"leaves": LEAVES, "accounts_per_median": SAMPLES, **figures}
        RESULTS.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
