"""A unit of a trace's times that cannot be meant is refused with the one that is likely."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.errors import InputError
from simulator.resolve.sizes import at_start
from simulator.resolve.topology import plan_topologies
from simulator.scenario.load import load_scenario

ROWS = 500
TEXT = """
schema_version: 1
name: traced
model: llama-3.1-8b
workload: {classes: [{name: c, arrivals: {kind: trace, file: log.csv, UNIT}}]}
topologies:
  a: {pools: [{name: p, site: lambda, gpu: h100-sxm, replicas: 1}]}
  b: {pools: [{name: q, site: lambda, gpu: h100-sxm, replicas: 2}]}
run: {horizon_s: 600}
"""


def planned(folder: Path, first: int, apart: int, unit: str) -> None:
    """A row each `apart` of the file's units from `first` on; one planned scenario over it."""
    rows = "".join(f"{first + k * apart},100,10\n" for k in range(ROWS))
    (folder / "log.csv").write_text(f"arrival_s,input_tokens,output_tokens\n{rows}")
    file = folder / "scenario.yaml"
    file.write_text(TEXT.replace("UNIT", unit))
    plan_topologies(at_start(load_scenario(file)))


@pytest.mark.parametrize(
    ("first", "apart", "said", "likely"),
    [
        (0, 1_000, "s", "ms"),
        (1_790_000_000_000, 1_000, "s", "ms"),
        (1_790_000_000_000, 1_000, "us", "ms"),
        (0, 1_000_000, "ms", "us"),
        (0, 1, "ns", "s"),
        (1_790_000_000, 1, "ms", "s"),
    ],
)
def test_a_unit_that_leaves_nothing_is_refused_once(
    first: int, apart: int, said: str, likely: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as refused:
        planned(tmp_path, first, apart, f"time_unit: {said}")
    (problem,) = refused.value.problems
    assert problem.path == "workload.classes[0].arrivals.time_unit"
    assert problem.line is not None
    assert f"in {likely} it lasts 499 s: say {likely}" in problem.message
    assert ("leave it out where s is meant" in problem.message) == (said == "s")


@pytest.mark.parametrize(
    ("first", "apart", "unit"),
    [
        (0, 1_000, "time_unit: ms"),
        (0, 1_000, "loop: false"),
        (0, 40, "time_unit: s"),
        (0, 100_000, "time_unit: s"),
        (0, 1_000, "time_unit: s, loop: true"),
    ],
)
def test_a_unit_that_can_be_meant_is_taken(first: int, apart: int, unit: str, tmp_path: Path) -> None:
    """The right one, none, a trace much longer than what is simulated, one that no unit fits, and one that loops."""
    planned(tmp_path, first, apart, unit)
