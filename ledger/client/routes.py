"""Every question of the API as a typed method.

Written by scripts/client_routes.py from the API's OpenAPI document; not by hand.
"""

from urllib.parse import quote

from ledger.client.shapes import (
    AccountRow,
    Allocation,
    Batch,
    BatchRow,
    CarbonReport,
    CertificateClaim,
    ChainStanding,
    ClaimRow,
    ContractsNow,
    DoorRefusalRow,
    Entry,
    EntryRow,
    Epoch,
    EpochRow,
    Explanation,
    HistoryRow,
    NextPlace,
    Node,
    NodeRow,
    Operator,
    OperatorRow,
    PayoutRow,
    Policy,
    PolicyRow,
    Proof,
    RegistrationRow,
    RoleRow,
    Statement,
    SubmissionFact,
    TransactionRow,
    TransferRow,
    Transition,
    TrialBalance,
    UsedRange,
    VaultRow,
    Verifier,
)
from ledger.client.transport import Fact, Pages, Transport


class Routes:
    """The questions, asked through a transport."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list_epochs(self, *, state: str | None = None) -> Pages[EpochRow]:
        """Every epoch with its state and totals, ascending."""
        return self._transport.pages("/v1/epochs", {"state": state})

    def show_epoch(self, epoch: int) -> Fact[Epoch]:
        """One epoch: window, totals, transactions, verdicts by code, files."""
        return self._transport.fact(f"/v1/epochs/{quote(str(epoch), safe='')}", {})

    def list_transitions(self, epoch: int) -> Pages[Transition]:
        """What every transition of an epoch recorded, in order."""
        return self._transport.pages(f"/v1/epochs/{quote(str(epoch), safe='')}/transitions", {})

    def list_allocations(self, epoch: int) -> Pages[Allocation]:
        """What each operator earned in a computed epoch, by address."""
        return self._transport.pages(f"/v1/epochs/{quote(str(epoch), safe='')}/allocations", {})

    def list_statements(
        self,
        epoch: int,
        *,
        operator: str | None = None,
        model: str | None = None,
        zone: str | None = None,
        country: str | None = None,
    ) -> Pages[Statement]:
        """The statements of a computed epoch's nodes, by node id."""
        return self._transport.pages(
            f"/v1/epochs/{quote(str(epoch), safe='')}/statements",
            {"operator": operator, "model": model, "zone": zone, "country": country},
        )

    def show_statement(self, epoch: int, node: str) -> Fact[Statement]:
        """One node's statement: every count, factor and line."""
        return self._transport.fact(
            f"/v1/epochs/{quote(str(epoch), safe='')}/statements/{quote(str(node), safe='')}", {}
        )

    def show_explanation(self, epoch: int, node: str, *, operator: str | None = None) -> Fact[Explanation]:
        """Why a node was paid what it was paid: evidence, factors, lines, refusals, what missed thresholds cost."""
        return self._transport.fact(
            f"/v1/epochs/{quote(str(epoch), safe='')}/explanations/{quote(str(node), safe='')}", {"operator": operator}
        )

    def show_proof(self, epoch: int, operator: str) -> Fact[Proof]:
        """An operator's cumulative amount and Merkle proof in a sealed epoch's claim tree."""
        return self._transport.fact(
            f"/v1/epochs/{quote(str(epoch), safe='')}/proofs/{quote(str(operator), safe='')}", {}
        )

    def show_latest_proof(self, operator: str) -> Fact[Proof]:
        """An operator's amount and proof in the last final epoch's claim tree: what a claim needs."""
        return self._transport.fact(f"/v1/operators/{quote(str(operator), safe='')}/proof", {})

    def list_operators(self) -> Pages[OperatorRow]:
        """Every operator's pending, cumulative, claimed and claimable rewards, by address."""
        return self._transport.pages("/v1/operators", {})

    def show_operator(self, operator: str) -> Fact[Operator]:
        """One operator's rewards, with the proof of its amount."""
        return self._transport.fact(f"/v1/operators/{quote(str(operator), safe='')}", {})

    def list_history(self, operator: str) -> Pages[HistoryRow]:
        """What an operator earned, epoch by epoch."""
        return self._transport.pages(f"/v1/operators/{quote(str(operator), safe='')}/history", {})

    def list_payouts(self, operator: str) -> Pages[PayoutRow]:
        """Where the operator's payouts are, from the last final epoch on: due when, late or not, and why."""
        return self._transport.pages(f"/v1/operators/{quote(str(operator), safe='')}/payouts", {})

    def list_claims(self, operator: str) -> Pages[ClaimRow]:
        """The operator's withdrawals in the books, oldest first."""
        return self._transport.pages(f"/v1/operators/{quote(str(operator), safe='')}/claims", {})

    def list_nodes(self, *, epoch: int | None = None, operator: str | None = None) -> Pages[NodeRow]:
        """The nodes a computed epoch counted, by id, with what it paid for each."""
        return self._transport.pages("/v1/nodes", {"epoch": epoch, "operator": operator})

    def show_node(self, node: str) -> Fact[Node]:
        """One node: its registrations, what the last epochs paid for it."""
        return self._transport.fact(f"/v1/nodes/{quote(str(node), safe='')}", {})

    def list_batches(
        self, *, epoch: int | None = None, verifier: str | None = None, schema_: str | None = None
    ) -> Pages[BatchRow]:
        """Admitted batches, by arrival."""
        return self._transport.pages("/v1/batches", {"epoch": epoch, "verifier": verifier, "schema": schema_})

    def show_batch(self, uid: str) -> Fact[Batch]:
        """Where a batch is, and once its epoch is computed the verdict on it and its records."""
        return self._transport.fact(f"/v1/batches/{quote(str(uid), safe='')}", {})

    def list_registrations(self, *, operator: str | None = None) -> Pages[RegistrationRow]:
        """Registrations that came in, by arrival."""
        return self._transport.pages("/v1/registrations", {"operator": operator})

    def list_refusals(
        self, *, epoch: int | None = None, signer: str | None = None, code: str | None = None
    ) -> Pages[DoorRefusalRow]:
        """What was refused at the door, oldest first."""
        return self._transport.pages("/v1/refusals", {"epoch": epoch, "signer": signer, "code": code})

    def list_verifiers(self, *, epoch: int | None = None) -> Pages[RoleRow]:
        """Verifier roles in the order they were set, up to the last final block."""
        return self._transport.pages("/v1/verifiers", {"epoch": epoch})

    def show_verifier(self, verifier: str) -> Fact[Verifier]:
        """One verifier: its roles and how many batches it sent, by epoch and schema."""
        return self._transport.fact(f"/v1/verifiers/{quote(str(verifier), safe='')}", {})

    def list_verifier_batches(
        self, verifier: str, *, epoch: int | None = None, schema_: str | None = None
    ) -> Pages[BatchRow]:
        """One verifier's admitted batches, by arrival."""
        return self._transport.pages(
            f"/v1/verifiers/{quote(str(verifier), safe='')}/batches", {"epoch": epoch, "schema": schema_}
        )

    def list_next_places(self, verifier: str, *, epoch: int | None = None) -> Pages[NextPlace]:
        """The next sequence number and previous uid for each schema the verifier may attest, by epoch."""
        return self._transport.pages(f"/v1/verifiers/{quote(str(verifier), safe='')}/next", {"epoch": epoch})

    def list_policies(self) -> Pages[PolicyRow]:
        """Every policy announced up to the last final block, by version: in force, scheduled, past or cancelled."""
        return self._transport.pages("/v1/policies", {})

    def show_policy(self, version: int) -> Fact[Policy]:
        """One policy with every parameter, and what it changes."""
        return self._transport.fact(f"/v1/policies/{quote(str(version), safe='')}", {})

    def list_certificates(self, *, epoch: int | None = None, registry: str | None = None) -> Pages[UsedRange]:
        """The register of used certificates as an epoch left it, by registry, issuance and first Wh."""
        return self._transport.pages("/v1/certificates", {"epoch": epoch, "registry": registry})

    def list_certificate_claims(self, issuance: str) -> Pages[CertificateClaim]:
        """One certificate's whole use: every claim on it, what was credited, what was refused and why."""
        return self._transport.pages(f"/v1/certificates/{quote(str(issuance), safe='')}/claims", {})

    def list_entries(
        self,
        *,
        from_: int | None = None,
        to: int | None = None,
        chain: str | None = None,
        kind: str | None = None,
        key: str | None = None,
        as_of: int | None = None,
        as_of_epoch: int | None = None,
        as_of_time: str | None = None,
    ) -> Pages[EntryRow]:
        """Entries of the journal in order."""
        return self._transport.pages(
            "/v1/journal",
            {
                "from": from_,
                "to": to,
                "chain": chain,
                "kind": kind,
                "key": key,
                "as_of": as_of,
                "as_of_epoch": as_of_epoch,
                "as_of_time": as_of_time,
            },
        )

    def show_entry(self, seq: int) -> Fact[Entry]:
        """One entry with its body as hashed."""
        return self._transport.fact(f"/v1/journal/{quote(str(seq), safe='')}", {})

    def list_transfers(
        self,
        *,
        from_: int | None = None,
        to: int | None = None,
        account: str | None = None,
        asset: str | None = None,
        code: str | None = None,
        as_of: int | None = None,
        as_of_epoch: int | None = None,
        as_of_time: str | None = None,
    ) -> Pages[TransferRow]:
        """Transfers in order: every debit and credit, with its entry."""
        return self._transport.pages(
            "/v1/transfers",
            {
                "from": from_,
                "to": to,
                "account": account,
                "asset": asset,
                "code": code,
                "as_of": as_of,
                "as_of_epoch": as_of_epoch,
                "as_of_time": as_of_time,
            },
        )

    def list_accounts(self, *, begin: str | None = None) -> Pages[AccountRow]:
        """Accounts by name, with what they were debited and credited up to now."""
        return self._transport.pages("/v1/accounts", {"begin": begin})

    def show_trial_balance(
        self, *, as_of: int | None = None, as_of_epoch: int | None = None, as_of_time: str | None = None
    ) -> Fact[TrialBalance]:
        """The trial balance now or as of a moment, replayed from the transfers alone."""
        return self._transport.fact(
            "/v1/trial-balance", {"as_of": as_of, "as_of_epoch": as_of_epoch, "as_of_time": as_of_time}
        )

    def show_chain(self) -> Fact[ChainStanding]:
        """How far the books have followed the chain; asks no node."""
        return self._transport.fact("/v1/chain", {})

    def list_transactions(self) -> Pages[TransactionRow]:
        """Every transaction this ledger planned, by sender and nonce, and where it stands."""
        return self._transport.pages("/v1/chain/transactions", {})

    def show_contracts(self) -> Fact[ContractsNow]:
        """What the contracts hold and wait for now; asks a node of the chain."""
        return self._transport.fact("/v1/chain/contracts", {})

    def list_vault(self) -> Pages[VaultRow]:
        """The carbon vault by epoch, on chain and in the books, at the block the books are final to; asks a node."""
        return self._transport.pages("/v1/carbon/vault", {})

    def show_report(self, *, from_: int, to: int) -> CarbonReport:
        """The report over consecutive sealed epochs, as JSON."""
        found: CarbonReport = self._transport.document("/v1/reports", {"from": from_, "to": to})
        return found

    def show_submission(self, digest: str) -> Fact[SubmissionFact]:
        """Where a submission stands: received, admitted or refused, with the code and the remedy."""
        return self._transport.fact(f"/v1/submissions/{quote(str(digest), safe='')}", {})
