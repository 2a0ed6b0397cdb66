"""What a run says of how far it is: trials expected, trials done, shares that rise."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from scenario_cases import chat, written

from simulator import processes
from simulator.resolve.sizes import open_pools
from simulator.run import ahead
from simulator.run.budget import beforehand, checked_budget, needs_of
from simulator.run.simulate import simulate
from simulator.size.expected import expected_trials

OPEN = "own: {pools: [{name: base, site: datacentre, gpu: h100-sxm, replicas: auto, billing: owned}]}"
ELASTIC = "elastic: {pools: [{name: rented, site: lambda, gpu: h100-sxm, autoscaler: auto}]}"
FIXED = "fixed: {pools: [{name: rented, site: lambda, gpu: h100-sxm, replicas: 2}]}"


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_says_beforehand_what_it_is_likely_to_take_and_then_which_trial_is_under_way(
    tmp_path: Path, jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (ahead, processes):
        monkeypatch.setattr(module, "forks", lambda: True)
    monkeypatch.setattr(ahead, "WORTH_FORKING", 0)
    loaded = written(tmp_path, chat(OPEN, FIXED, study="months: 1", rate_rps=20, horizon_s=5, warmup_s=1))
    told: list[tuple[str, float]] = []
    simulate(
        loaded,
        tmp_path / "out",
        progress=lambda what, share: told.append((what, share)),
        jobs=jobs,
        budget=checked_budget(None, None),
    )
    assert told[0] == ("2 topologies: 4 trials for sizes of 1 topologies, about 1 s of one core", 0.0)
    assert any(re.search(r"own: replicas 1, trial \d of about 4", what) for what, _ in told)
    ahead_of_the_run = "fixed" if jobs > 1 else "fixed: replication 1 of "
    assert any(what.startswith(ahead_of_the_run) for what, _ in told)
    assert all(0.0 <= share <= 1.0 for _, share in told)
    shares = [share for what, share in told if "trial" in what]
    assert shares == sorted(shares)


@pytest.mark.parametrize("keep", ["true", "false"])
def test_trials_of_the_instances_of_written_autoscalers_are_told_while_they_run(tmp_path: Path, keep: str) -> None:
    """They are all that is simulated: what comes after them is in the store."""
    scaled = ELASTIC.replace("auto}", "{kind: queue, min: 7, max: 8, target_per_replica: 500}}")
    text = chat(scaled, study="months: 1", rate_rps=2, horizon_s=40, warmup_s=1)
    told: list[tuple[str, float]] = []
    loaded = written(tmp_path, text).with_(f"run.keep_requests={keep}")
    simulate(loaded, tmp_path / "out", progress=lambda what, share: told.append((what, share)))
    shares = [share for what, share in told if re.fullmatch(r"elastic: trial [12] of its instances", what)]
    assert {"elastic: trial 1 of its instances", "elastic: trial 2 of its instances"} <= {what for what, _ in told}
    assert shares == sorted(shares)
    assert shares[0] < 0.4 < 0.6 < shares[-1] < 1.0
    assert [share for _, share in told] == sorted(share for _, share in told)


def test_what_is_expected_grows_with_what_is_open_and_with_what_is_asked(tmp_path: Path) -> None:
    loaded = written(tmp_path, chat(OPEN, ELASTIC, FIXED, study="months: 1", rate_rps=20, horizon_s=5, warmup_s=1))
    pools = {name: open_pools(loaded, name) for name in ("own", "elastic", "fixed")}
    counts = [expected_trials(found) for found in (pools["fixed"], pools["own"], pools["elastic"])]
    assert counts == sorted(counts)
    assert counts[0] == 1
    assert expected_trials((*pools["own"], *pools["elastic"])) > counts[-1]
    long = loaded.with_("run.horizon_s=500000")
    needs = needs_of(long, [])
    assert needs.seconds == 0.0
    assert beforehand(long, needs) == "3 topologies: 22 trials for sizes of 2 topologies, about 1 s of one core"


@pytest.mark.parametrize("topologies", [(FIXED,), (OPEN, FIXED)])
def test_the_bar_is_shared_by_the_trials_of_open_sizes_and_what_is_simulated_after_them(
    tmp_path: Path, topologies: tuple[str, ...]
) -> None:
    """Written sizes have no trials before them, so all of the bar is theirs."""
    loaded = written(tmp_path, chat(*topologies, study="months: 1", rate_rps=20, horizon_s=5, warmup_s=1))
    told: list[tuple[str, float]] = []
    simulate(loaded, tmp_path / "out", progress=lambda what, share: told.append((what, share)))
    trials = [share for what, share in told if "trial" in what]
    after = [share for what, share in told if what.startswith("fixed: replication 1 of ")]
    assert after
    if len(topologies) == 1:
        assert not trials
        assert after[0] < 0.3
    else:
        assert 0.3 < trials[-1] <= after[0] < 1.0
