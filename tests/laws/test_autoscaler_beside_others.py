"""An autoscaler beside a target that could serve all alone is at the least of its grid, too."""

from __future__ import annotations

from pathlib import Path

from scenario_cases import SCALED, beside_an_api, trials_of, written

from simulator.resolve.sizes import Fixed, Scaled
from simulator.size.answer import searched

TEXT = beside_an_api(2.7, 3, 0, 0.5, SCALED, "{kind: overflow, order: [gpus, api]}")
TARGETS = (2, 5, 10, 20, 40, 65)


def test_one_replica_that_an_api_stands_beside_goes_where_nobody_comes(tmp_path: Path) -> None:
    """The API alone meets the SLO, so no number of replicas is the fewest that is enough; one costs less than none."""
    trials = trials_of(written(tmp_path, TEXT), "t")
    found = searched(trials)
    fixed = {n: trials((Fixed(n),)) for n in range(3)}
    assert all(one.word == "met" for one in fixed.values())
    assert min(fixed, key=lambda n: fixed[n].usd_per_month) == 1
    grid = [trials((Scaled(least, most, float(t)),)) for least, most in ((0, 1), (0, 2), (1, 2)) for t in TARGETS]
    least_usd = min(one.usd_per_month for one in grid if one.word == "met")
    assert least_usd < 0.97 * fixed[1].usd_per_month
    assert found.best is not None
    assert found.best.usd_per_month <= least_usd + 0.01
