"""A signed transaction read back from its bytes: what it does and who signed it, independent of what was noted."""

from dataclasses import dataclass

from ledger.chain.sending.signer import Transaction
from ledger.model.errors import MismatchError
from ledger.model.units import Address, Hash32, from_hex
from ledger.tree.keccak import keccak256


class RawTransactionError(MismatchError):
    """Bytes that should be a signed transaction are none."""

    code = "chain.raw-transaction"


@dataclass(frozen=True, slots=True, kw_only=True)
class SentTransaction(Transaction):
    """What a signed type-2 transaction says, and who signed it."""

    tx_hash: Hash32
    sender: Address


def read_transaction(raw: bytes) -> SentTransaction:
    """The transaction in its signed bytes. RawTransactionError when they are none of type 2."""
    from eth_account import Account
    from eth_account.typed_transactions.typed_transaction import TypedTransaction
    from eth_keys.exceptions import BadSignature
    from eth_utils.exceptions import ValidationError
    from hexbytes import HexBytes
    from rlp.exceptions import RLPException  # type: ignore[import-untyped]  # the package says no types

    try:
        said = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
        sender = Account.recover_transaction(raw)
        # a member that another type lacks, such as a cap on the fee, is a KeyError
        return SentTransaction(
            tx_hash=Hash32(keccak256(raw)),
            sender=Address(from_hex(sender, 20)),
            chain_id=said["chainId"],
            nonce=said["nonce"],
            to=Address(bytes(said["to"])) if said["to"] else None,
            value_wei=said["value"],
            calldata=bytes(said["data"]),
            gas=said["gas"],
            max_fee_per_gas_wei=said["maxFeePerGas"],
            max_priority_fee_per_gas_wei=said["maxPriorityFeePerGas"],
        )
    except (ValueError, TypeError, KeyError, IndexError, RLPException, BadSignature, ValidationError) as error:
        raise RawTransactionError(f"no signed transaction of type 2: {error!r:.200}") from error
