"""What runs asked for, apart from what their searches found."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from scenario_cases import written

from simulator.report.asked import asked, found
from simulator.resolve.sizes import Fixed, Scaled, Size, with_sizes
from simulator.scenario.differences import ABSENT, differences
from simulator.scenario.resolved import resolved_yaml

TEXT = """
schema_version: 1
name: sized
model: llama-3.1-8b-instruct
workload:
  classes: [{name: chat, arrivals: {kind: poisson, rate_rps: RATE}, lengths: {isl: 300, osl: 60}}]
run: {horizon_s: 60}
topologies:
  own:
    pools:
      - {name: base, site: datacentre, gpu: h100-sxm, replicas: auto, billing: owned}
      - {name: burst, site: lambda, gpu: h100-sxm, autoscaler: auto}
    routing: {kind: overflow, order: [base, burst], when: {outstanding_per_replica: 40}}
  cloud: {pools: [{name: rented, site: lambda, gpu: h100-sxm, replicas: REPLICAS}]}
"""


def ran(folder: Path, base: Size, burst: Size, rate: int = 4, rented: str = "auto") -> Any:
    """A bundle as far as it is asked here: its resolved scenario, and what its searches found."""
    folder.mkdir()
    loaded = written(folder, TEXT.replace("RATE", str(rate)).replace("REPLICAS", rented))
    loaded = with_sizes(loaded, "own", {0: base, 1: burst})
    rows: dict[str, Any] = {"own": {"search": {"sizes": {"base": str(base), "burst": str(burst)}, "hours": ""}}}
    if rented == "auto":
        loaded = with_sizes(loaded, "cloud", {0: Fixed(2)})
        rows["cloud"] = {"search": {"sizes": {"rented": "2"}}}
    else:
        rows["cloud"] = {}
    file = folder / "scenario.resolved.yaml"
    file.write_text(resolved_yaml(loaded))
    return SimpleNamespace(scenario_file=file, summary={"order": ["own", "cloud"], "topologies": rows})


def test_found_sizes_are_no_differences_of_what_was_asked(tmp_path: Path) -> None:
    """Other sizes, an autoscaler on an instance against none, and a pool left out with its rule of routing."""
    runs = [
        ran(tmp_path / "a", Fixed(4), Fixed(0)),
        ran(tmp_path / "b", Fixed(3), Scaled(1, 2, 40.0, "gpu_1x_h100_sxm5"), rate=5),
    ]
    (only,) = differences(asked(runs))
    assert (only.path, only.values) == ("workload.classes[chat].arrivals.rate_rps", (4.0, 5.0))
    assert [(row.path, row.values) for row in found(runs)] == [
        ("topologies.own.pools[base]", ("4", "3")),
        ("topologies.own.pools[burst]", ("0", "1 to 2 at 40 on gpu_1x_h100_sxm5")),
    ]


def test_a_size_that_one_run_has_as_written_is_a_difference_of_both(tmp_path: Path) -> None:
    runs = [ran(tmp_path / "a", Fixed(4), Fixed(0)), ran(tmp_path / "b", Fixed(4), Fixed(0), rented="2")]
    (only,) = differences(asked(runs))
    assert (only.path, only.values) == ("topologies.cloud.pools[rented].replicas", ("auto", 2))
    assert [row.values for row in found(runs)] == [("2", ABSENT)]
