"""What can go wrong between the ledger and its chain, each with its own code and next step."""

from ledger.model.errors import EnvironmentFailure, InvariantError, RefusedError, TransactionFailedError


class ChainUnreachableError(EnvironmentFailure):
    """The node did not answer."""

    code = "chain.unreachable"
    default_hint = "start the node (ath-ledger chain start) or correct ETH_RPC_URL, then run the same command again"


class WrongChainError(EnvironmentFailure):
    """The node serves another chain id."""

    code = "chain.wrong-chain"
    retryable = False
    default_hint = "point ETH_RPC_URL at the chain this ledger was deployed on"


class OtherGenesisError(EnvironmentFailure):
    """The node has the right chain id but another history."""

    code = "chain.other-genesis"
    retryable = False
    default_hint = "start the chain with this workspace's own state file, or make a new workspace"


class CodeMissingError(EnvironmentFailure):
    """At the contract's address there is no code, or not ours."""

    code = "chain.other-code"
    retryable = False
    default_hint = "compare the deployment file with the chain: ath-ledger chain roles"


class RpcError(EnvironmentFailure):
    """The node answered with an error."""

    code = "chain.rpc-error"

    def __init__(self, what: str, *, rpc_code: int = 0, message: str = "", data: object = None) -> None:
        super().__init__(what)
        self.rpc_code = rpc_code
        self.message = message
        self.data = data


class AnswerError(EnvironmentFailure):
    """The node answered with something that cannot be what was asked for."""

    code = "chain.bad-answer"
    default_hint = "ask another node: correct rpc_url in settings.toml or ETH_RPC_URL"


class LogsHiddenError(EnvironmentFailure):
    """A block's own filter speaks of events that the node does not show."""

    code = "chain.logs-hidden"
    default_hint = "the node's log index lags or is damaged: wait, or name another node in rpc_url"


class BlockMissingError(EnvironmentFailure):
    """The node does not have the block that was asked for."""

    code = "chain.block-missing"
    default_hint = "the node may still be synchronising; try again"


class ChainMovedError(EnvironmentFailure):
    """The chain changed while it was being read."""

    code = "chain.moved"
    default_hint = "run the same command again"


class AnvilError(EnvironmentFailure):
    """The local development chain cannot be started or stopped."""

    code = "chain.anvil"
    retryable = False
    default_hint = "npm install --prefix contracts"


class KeystoreError(EnvironmentFailure):
    """The key cannot be read or unlocked."""

    code = "keys.keystore"
    retryable = False
    default_hint = "check --keystore and --password-file"


class CallRevertedError(RefusedError):
    """The contract refuses this call."""

    code = "contract.reverted"
    default_hint = "read the reason; nothing was sent"

    def __init__(self, what: str, *, reason: str, error_name: str = "", hint: str | None = None) -> None:
        super().__init__(what, hint=hint)
        self.reason = reason
        self.error_name = error_name


class TransactionRevertedError(TransactionFailedError):
    """The transaction was mined and reverted; it moved nothing but its fee."""

    code = "transaction.reverted"


class TransactionPendingError(TransactionFailedError):
    """The transaction was sent and is not mined yet."""

    code = "transaction.pending"
    retryable = True
    default_hint = "run the same command again: it looks for the transaction before it sends anything"


class NonceTakenError(TransactionFailedError):
    """Another transaction used the nonce of an outbox entry; sending stops until a person decides."""

    code = "settle.nonce-taken"


class FeeCapError(EnvironmentFailure):
    """The network asks for more than the fee cap allows."""

    code = "settle.fee-cap"
    default_hint = "wait for lower fees or raise the fee cap"


class FundsMissingError(EnvironmentFailure):
    """The sender cannot pay for the transaction."""

    code = "settle.funds-missing"
    retryable = False
    default_hint = "send the account some of the chain's own coin"


class FinalityBrokenError(InvariantError):
    """A block that was taken as final is no longer on the chain."""

    code = "chain.finality-broken"
    default_hint = "the epoch is halted: compare with ath-ledger audit reconcile, then ath-ledger epoch resume"
