"""A few seeds of the simulator, as a sample; CI runs thousands (`python -m tests.sim --seeds 0..1999`)."""

import pytest

from sim.scenario import Scenario
from sim.world import World


@pytest.mark.parametrize("seed", range(25))
def test_nothing_is_lost_doubled_or_divergent(seed: int) -> None:
    World(seed).run()


@pytest.mark.parametrize("scenario", [Scenario(epochs=2, claimants=2), Scenario(epochs=2, claimants=1, revoked=1)])
def test_an_undisturbed_run_drains_and_agrees_with_the_chain(scenario: Scenario) -> None:
    World(0, scenario=scenario, undisturbed=True).run()


def test_a_seed_replays_to_the_last_line_of_its_trace() -> None:
    first, second = World(7), World(7)
    first.run()
    second.run()
    assert [str(line) for line in first.trace] == [str(line) for line in second.trace]
