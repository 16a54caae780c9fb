"""The carbon vault: what each epoch put into it and what is covered by now, from the chain and from the books."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy.orm import Session

from ledger.books.accounts import CARBON_HELD, CARBON_RETIRED, CARBON_SPENT
from ledger.books.trial_balance import ZERO_BALANCE
from ledger.chain.contracts.artefacts import CARBON_VAULT, interface
from ledger.chain.contracts.carbon_vault import CarbonVaultContract
from ledger.chain.contracts.contract import Call
from ledger.chain.contracts.logs import fetch_logs
from ledger.chain.node.connection import Block
from ledger.db import chain_log, epochs, journal
from ledger.db import policies as policy_rows
from ledger.model.allocation import Totals
from ledger.model.epoch import EpochState
from ledger.model.errors import RefusedError
from ledger.model.policy import Policy
from ledger.model.units import BPS, EpochNumber, MicrogramsCo2e, Wei, to_hex
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.totals import totals_of
from ledger.steps.settlement import Settlement


class CertificateUsedError(RefusedError):
    """The certificate was retired before, for something else."""

    code = "carbon.certificate-used"
    default_hint = "each certificate counts once: name the hash of another one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Carbon:
    """One epoch's figures as one side has them; what is paid for and retired covers the oldest epochs first."""

    received_wei: Wei
    owed_ug: MicrogramsCo2e
    """The epoch's residual emissions."""
    paid_for_ug: MicrogramsCo2e
    retired_ug: MicrogramsCo2e


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochCarbon:
    """One activated epoch in the vault, on both sides, and the terms its policy set."""

    epoch: EpochNumber
    chain: Carbon
    books: Carbon
    price_wei_per_tonne: Wei
    cap_wei: Wei
    """The most the epoch's budget may pay for carbon."""
    carried_ug: MicrogramsCo2e
    """The liability left to the next epoch: owed, and above the cap."""

    def row(self) -> dict[str, Any]:
        """The epoch as lists show it, amounts as decimal strings."""
        sides = {
            f"{name}_{side}": str(getattr(getattr(self, side), name))
            for name in (field.name for field in fields(Carbon))
            for side in ("chain", "books")
        }
        terms = {name: str(getattr(self, name)) for name in ("price_wei_per_tonne", "cap_wei", "carried_ug")}
        return {"epoch": self.epoch, **sides, **terms}


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultStanding:
    """The vault at the block the books are final to."""

    block: int
    epochs: tuple[EpochCarbon, ...]
    chain_held_wei: Wei
    chain_spent_wei: Wei
    books_held_wei: Wei
    books_spent_wei: Wei

    @property
    def differences(self) -> tuple[str, ...]:
        """Where chain and books disagree, in words; empty is good."""
        found = []
        for each in self.epochs:
            for field in fields(Carbon):
                ours, theirs = getattr(each.books, field.name), getattr(each.chain, field.name)
                if ours != theirs:
                    found.append(f"epoch {each.epoch}: {field.name} is {theirs} on chain and {ours} in the books")
        if self.chain_held_wei != self.books_held_wei:
            found.append(f"held_wei is {self.chain_held_wei} on chain and {self.books_held_wei} in the books")
        if self.chain_spent_wei != self.books_spent_wei:
            found.append(f"spent_wei is {self.chain_spent_wei} on chain and {self.books_spent_wei} in the books")
        return tuple(found)


def vault_of(settlement: Settlement) -> CarbonVaultContract:
    """The deployment's vault."""
    return settlement.deployment.carbon_vault(settlement.connection)


def vault_standing(ledger: Ledger) -> VaultStanding:
    """Every activated epoch in the vault, oldest first, at the block the books are final to."""
    settlement = ledger.settlement()
    with ledger.database.reading() as session:
        final = chain_log.final_point(session, ledger.domain.chain_id)
        at = settlement.connection.head() if final is None else settlement.connection.block(final.number)
        balances = journal.balances(session)
        settled = [each.epoch for each in epochs.all_standings(session) if each.state is EpochState.FINAL]
        told = [(epoch, totals_of(session, epoch), _policy(session, epoch)) for epoch in settled]
    vault = vault_of(settlement)
    totals = vault.totals(at.hash)
    retired = balances.get(CARBON_RETIRED, ZERO_BALANCE).net
    ours = _covered([each for _, each, _ in told], retired)
    return VaultStanding(
        block=at.number,
        epochs=tuple(
            _epoch(vault, at, epoch, books, each, policy)
            for (epoch, each, policy), books in zip(told, ours, strict=True)
        ),
        chain_held_wei=Wei(totals.received_wei - totals.spent_wei),
        chain_spent_wei=totals.spent_wei,
        books_held_wei=Wei(balances.get(CARBON_HELD, ZERO_BALANCE).net),
        books_spent_wei=Wei(balances.get(CARBON_SPENT, ZERO_BALANCE).net),
    )


def retirement_is_done(settlement: Settlement, call: Call) -> bool:
    """Whether exactly this retirement is on chain. CertificateUsedError when its certificate served another one."""
    wanted = dict(call.meaning.arguments)
    vault, head = vault_of(settlement), settlement.connection.head()
    if not vault.read("certificateUsed", wanted["certificate_hash"], at=head.hash):
        return False
    abi = interface(CARBON_VAULT)
    first = settlement.deployment.first_block
    topics = [abi.events["CarbonRetired"]]
    for log in fetch_logs(settlement.connection, [vault.address], first, head.number, topics):
        event = abi.event(log.topics, log.data)
        if event is not None and event.arguments["certificate_hash"] == wanted["certificate_hash"]:
            if all(event.arguments[name] == value for name, value in wanted.items()):
                return True
            raise CertificateUsedError(
                f"certificate {to_hex(wanted['certificate_hash'])} was retired in block {log.block_number} for "
                f"{event.arguments['grams']} g and {event.arguments['payment']} wei"
            )
    return False


def _epoch(
    vault: CarbonVaultContract, at: Block, epoch: EpochNumber, books: Carbon, totals: Totals, policy: Policy
) -> EpochCarbon:
    found = vault.carbon_of(epoch, at.hash)
    return EpochCarbon(
        epoch=epoch,
        chain=Carbon(
            received_wei=Wei(found["received"]),
            owed_ug=MicrogramsCo2e(found["owed_micrograms"]),
            paid_for_ug=MicrogramsCo2e(found["paid_for_micrograms"]),
            retired_ug=MicrogramsCo2e(found["retired_micrograms"]),
        ),
        books=books,
        price_wei_per_tonne=Wei(policy.carbon_price_wei_per_tonne),
        cap_wei=Wei(policy.epoch_budget_wei * policy.carbon_cap_bps // BPS),
        carried_ug=totals.carried_out_ug,
    )


def _covered(totals: list[Totals], retired_ug: int) -> Iterator[Carbon]:
    """The books' figures by epoch: what was paid for in all, and retired in all, laid over the oldest epochs first."""
    paid_for = sum(each.residual_ug + each.carried_in_ug - each.carried_out_ug for each in totals)
    for each in totals:
        covered, gone = min(paid_for, each.residual_ug), min(retired_ug, each.residual_ug)
        paid_for, retired_ug = paid_for - covered, retired_ug - gone
        yield Carbon(
            received_wei=each.carbon_wei,
            owed_ug=each.residual_ug,
            paid_for_ug=MicrogramsCo2e(covered),
            retired_ug=MicrogramsCo2e(gone),
        )


def _policy(session: Session, epoch: EpochNumber) -> Policy:
    version = int(epochs.facts(session, epoch, EpochState.FROZEN)["policyVersion"])
    return policy_rows.policy(session, version).policy
