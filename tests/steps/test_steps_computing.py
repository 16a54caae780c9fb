"""An epoch computed from parts is the one computed from its evidence, whatever the parts are and whoever made them."""

from collections.abc import Iterator
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from ledger.db import items, parts
from ledger.demo.network import DemoNetwork
from ledger.evidence.judging.acceptance import judge
from ledger.evidence.storage.store import ItemKind
from ledger.evidence.storage.verified_registrations import VerifiedRegistrations
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber, Hash32, Timestamp
from ledger.rehearsal import Rehearsal
from ledger.rules import rules_for
from ledger.steps.computing import registrations
from ledger.steps.computing.registrations import KIND, missing_shards, prepare_shard, verified_registrations
from ledger.steps.computing.shards import shards_of
from ledger.steps.drive import state_of, step
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.frozen import load_frozen
from ledger.steps.recorded.totals import opening_of
from ledger.steps.transitions.compute import _files, computed_facts

EPOCH = EpochNumber(0)
NODES = 24


@pytest.fixture(scope="module")
def frozen_ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A ledger whose first epoch is frozen and not computed."""
    rehearsal = Rehearsal.create(tmp_path_factory.mktemp("parts") / "ledger", DemoNetwork(nodes=NODES))
    ledger = rehearsal.deploy(lambda _: None)
    rehearsal.register(ledger)
    rehearsal.attest(ledger, EPOCH)
    rehearsal._jump(ledger, Timestamp(ledger.calendar.cut_off(EPOCH) + 60))
    step(ledger, EPOCH)
    assert state_of(ledger, EPOCH) is EpochState.FROZEN
    yield ledger
    ledger.close()
    rehearsal.stop()


def forget(ledger: Ledger) -> None:
    with ledger.database.transaction() as session:
        session.execute(text("DELETE FROM parts"))


def computed(ledger: Ledger, *, from_parts: bool) -> tuple[object, ...]:
    """Everything a computation records, byte for byte."""
    with ledger.database.reading() as session:
        way = partial(verified_registrations, ledger) if from_parts else None
        frozen = load_frozen(ledger, session, EPOCH, registrations=way)
        opening = opening_of(session, EPOCH)
    judgement = judge(frozen)
    allocation = rules_for(frozen.tables.rules_version).allocate(
        judgement.accepted, frozen.policy, frozen.tables, opening
    )
    return computed_facts(judgement, allocation, opening), _files(judgement, allocation)


@pytest.fixture(scope="module")
def plain(frozen_ledger: Ledger) -> tuple[object, ...]:
    return computed(frozen_ledger, from_parts=False)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_number_of_shards_prepared_by_anybody_gives_the_same_bytes(
    frozen_ledger: Ledger, plain: tuple[object, ...], data: st.DataObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = data.draw(st.integers(min_value=1, max_value=2 * NODES), label="registrations a shard")
    monkeypatch.setattr(registrations, "shards_of", partial(shards_of, most_items=most))
    forget(frozen_ledger)
    missing = missing_shards(frozen_ledger, EPOCH)
    ahead = data.draw(st.lists(st.sampled_from(missing), max_size=2 * len(missing)), label="prepared ahead")
    for number in ahead:
        prepare_shard(frozen_ledger, EPOCH, number)
    assert set(missing_shards(frozen_ledger, EPOCH)) == set(missing) - set(ahead)
    assert computed(frozen_ledger, from_parts=True) == plain
    assert missing_shards(frozen_ledger, EPOCH) == []
    assert computed(frozen_ledger, from_parts=True) == plain


def test_every_registration_is_in_one_shard() -> None:
    uids = [Hash32(number.to_bytes(2, "big") * 16) for number in range(0, 65_536, 97)]
    for most in (1, 3, 50, len(uids), 10**6):
        cut = shards_of(uids, most_items=most)
        assert sorted(uid for shard in cut for uid in shard.uids) == uids
        assert [shard.number for shard in cut] == list(range(len(cut)))
    assert len(shards_of(uids, most_items=len(uids))) == 1
    assert [shard.uids for shard in shards_of([])] == [()]


def test_a_part_whose_bytes_were_changed_is_made_again(frozen_ledger: Ledger, plain: tuple[object, ...]) -> None:
    computed(frozen_ledger, from_parts=True)
    with frozen_ledger.database.transaction() as session:
        session.execute(text("UPDATE parts SET content = zeroblob(9)"))
    assert computed(frozen_ledger, from_parts=True) == plain


def test_a_part_of_other_registrations_is_not_used(frozen_ledger: Ledger) -> None:
    with frozen_ledger.database.reading() as session:
        uids = items.registration_uids(session, before=frozen_ledger.calendar.start(EPOCH))
    fewer = uids[1:]
    assert {item.uid for item in verified_registrations(frozen_ledger, fewer).items} == set(fewer)
    assert {item.uid for item in verified_registrations(frozen_ledger, uids).items} == set(uids)
    with frozen_ledger.database.reading() as session:
        assert list(parts.kept_parts(session, KIND, 1)) == [0]  # the newer one took the older one's place


def test_a_registration_nobody_signed_is_judged_as_ever(frozen_ledger: Ledger, plain: tuple[object, ...]) -> None:
    """Were it taken as signed because it is in a part, it would be paid."""
    with frozen_ledger.database.reading() as session:
        uids = items.registration_uids(session, before=frozen_ledger.calendar.start(EPOCH))
        files = [frozen_ledger.evidence.get(ItemKind.REGISTRATION, uid) for uid in uids]
        verified = VerifiedRegistrations.of_files(files, frozen_ledger.domain)
        assert verified.signed == set(uids)
        stolen = verified.items[0].signature[:-2] + bytes(2)
        forged = [
            content.replace(verified.items[0].signature.hex().encode(), stolen.hex().encode()) for content in files
        ]
        doubtful = VerifiedRegistrations.of_files(forged, frozen_ledger.domain)
        assert doubtful.signed == set(uids) - {verified.items[0].uid}
        assert VerifiedRegistrations.from_parquet(doubtful.to_parquet()) == doubtful
        frozen = load_frozen(frozen_ledger, session, EPOCH, registrations=lambda _: doubtful)
    codes = judge(frozen).verdicts.filter(item=verified.items[0].uid)["code"].to_list()
    assert codes == ["item.signature"]
