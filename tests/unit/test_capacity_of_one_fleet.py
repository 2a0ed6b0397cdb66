"""One fleet under two names has one share of its capacity in use."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_cases import chat, written

from simulator.run.simulate import simulate

POOL = "{{pools: [{{name: r, site: lambda, gpu: h100-sxm, replicas: {0}, price_usd_per_gpu_hour: 2}}]}}"


@pytest.mark.exhaustive
def test_a_size_that_is_written_and_the_same_one_found_leave_the_same_open(tmp_path: Path) -> None:
    """The one was tried at twice the load, the other at 3 / 2 of it, which is tried for both."""
    topologies = f"found: {POOL.format('auto')}, written: {POOL.format(3)}"
    text = chat(topologies, study="months: 1", rate_rps=90, tpot_s=0.02, horizon_s=12, warmup_s=2)
    found = simulate(written(tmp_path, text), tmp_path / "runs", advise=True).summary["topologies"]
    assert found["found"]["fleet"] == found["written"]["fleet"], "three replicas are the best"
    first, other = (found[name]["capacity"] for name in ("found", "written"))
    assert first == other
