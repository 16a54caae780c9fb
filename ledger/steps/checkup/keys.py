"""The doctor's look at the keystores: whose alone they are, whose keys they hold, what these may do and pay for.

No password is needed: a version 3 keystore says its address, and the publisher's is unlocked by a check of its own.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ledger.chain.contracts.roles import Role
from ledger.chain.deploying.deployment import Deployment
from ledger.chain.errors import KeystoreError
from ledger.chain.following.roles_report import roles_report
from ledger.chain.node.connection import Connection
from ledger.model.units import Address, from_hex
from ledger.steps.checkup.chain import GAS_FOR_AN_EPOCH
from ledger.steps.checkup.doctor import Answer, beware, well
from ledger.tree.keccak import checksum_address

_SENDS_BY_ITSELF: Final = frozenset({Role.PUBLISHER, Role.GUARDIAN})
"""The roles whose keys programs use, at night too: they must always be able to pay."""


def keystores(root: Path, publisher_keystore: str) -> list[Path]:
    """The keystores of a workspace: those in `keys`, and the publisher's wherever it is."""
    found = {each for each in (root / "keys").glob("*.json") if each.is_file()}
    if publisher_keystore and (root / publisher_keystore).is_file():
        found.add(root / publisher_keystore)  # one that is missing is the publisher's own finding
    return sorted(found)


def check_keystores(files: Sequence[Path], password_files: Sequence[Path]) -> Answer:
    """Every keystore and password file can be read, by its owner alone (KeystoreError)."""
    for file in files:
        address_of(file)
    for file in password_files:
        if not file.is_file():
            raise KeystoreError(f"there is no password file {file}")
    for file in (*files, *password_files):
        if _is_exposed(file):
            return beware("keys.readable", f"{file} is open to other users of this machine", f"chmod 600 {file}")
    return well(f"{len(files)} keystores, for this user alone")


def check_key_holders(connection: Connection, deployment: Deployment, files: Sequence[Path]) -> Answer:
    """Whoever of the keys sends by itself can pay for it; what each of them may do is said."""
    head = connection.head()
    roles = roles_report(connection, deployment, head).holders
    needed_wei = GAS_FOR_AN_EPOCH * max(head.base_fee_wei, 1)
    told: list[str] = []
    for file in files:
        account = address_of(file)
        held = sorted({each.role for each in roles if each.account == account})
        if account is None or not held:
            continue
        told.append(f"{file.name} is {' and '.join(role.name.lower() for role in held)}")
        if _SENDS_BY_ITSELF.intersection(held) and connection.balance_wei(account) < needed_wei:
            shown = checksum_address(account)
            remedy = f"send {shown} at least {needed_wei} wei of the chain's own coin"
            return beware("settle.funds-missing", f"{told[-1]} and cannot pay for what it sends", remedy)
    return well("; ".join(told) if told else "no key here holds a role")


def address_of(keystore: Path) -> Address | None:
    """The address a keystore says; None for one that keeps it to itself. KeystoreError when it is no keystore."""
    try:
        document = json.loads(keystore.read_text(encoding="utf-8"))
        if not isinstance(document.get("crypto", document.get("Crypto")), dict):
            raise KeystoreError(f"{keystore} is no version 3 keystore")
        stated = document.get("address")
        return Address(from_hex("0x" + str(stated).removeprefix("0x"), 20)) if stated else None
    except OSError as error:
        raise KeystoreError(f"{keystore} cannot be read: {error.strerror}") from error
    except (ValueError, AttributeError) as error:
        raise KeystoreError(f"{keystore} is no version 3 keystore") from error


def _is_exposed(file: Path) -> bool:
    """Whether others of this machine can get at the file: it is open to them, and so is its folder."""
    return bool(file.stat().st_mode & 0o077 and file.parent.stat().st_mode & 0o011)
