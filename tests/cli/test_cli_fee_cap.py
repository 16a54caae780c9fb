"""The fee cap of the settings is the one transactions are offered under, on any chain but the workspace's own."""

from typing import Any

import pytest

from ledger.chain.errors import FeeCapError
from ledger.chain.sending.fees import GWEI
from ledger.workspace import Workspace


def test_the_cap_of_the_settings_holds_for_every_offer(example: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Workspace.at(example.root).open()
    own_fees, url = own.settlement().fees, own.settlement().connection.rpc_url
    own.close()
    assert own_fees is not None
    assert own_fees.is_fixed
    monkeypatch.setenv("ATH_LEDGER_RPC_URL", url)
    monkeypatch.setenv("ATH_LEDGER_FEE_CAP_GWEI", "7")
    ledger = Workspace.at(example.root).open()
    fees = ledger.settlement().fees
    ledger.close()
    assert fees is not None
    assert fees.first(GWEI).max_fee_wei == 3 * GWEI
    assert fees.first(5 * GWEI).max_fee_wei == 7 * GWEI
    with pytest.raises(FeeCapError, match="passes the cap"):
        fees.first(7 * GWEI)
