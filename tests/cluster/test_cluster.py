"""A sweep on a cluster is the sweep of one process; what is lost is done again, what differs is refused by name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.cluster import flat
from simulator import cluster as cluster_module
from simulator.cluster import MOST_LOST, Cluster, joined
from simulator.errors import InputError
from simulator.results.scratch import is_alive
from simulator.sweep.grid import read_sweep
from simulator.sweep.sweep import run_sweep
from tests.cluster import work
from tests.cluster.conftest import ports

pytest.importorskip("ray", reason="Ray is not installed: make test-ray")
ROOT = Path(__file__).resolve().parents[2]
SIZED = ROOT / "tests/data/scenarios/sized.yaml"
RATE = "workload.classes[chat].arrivals.rate_rps"
GRID = (f"{RATE}=5,10,-1", "topologies.own.pools[base].tensor_parallel_size=1,3")
SETS = ("run.replications=1", "run.horizon_s=10", "run.warmup_s=2")


@pytest.fixture
def both(machines: Any) -> Any:
    with joined(machines.address) as found:
        yield found


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def wait_for(what: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_sweep_gives_the_bytes_of_one_process(both: Cluster, tmp_path: Path) -> None:
    sweep = read_sweep(SIZED, GRID, sets=SETS)
    alone = run_sweep(sweep, tmp_path / "alone", 1)
    said: list[float] = []
    found = run_sweep(sweep, tmp_path / "cluster", progress=lambda _, share: said.append(share), cluster=both)
    assert files(found.bundle) == files(alone.bundle)
    assert said == sorted(said)
    assert said[-1] == 1
    assert not found.bundle.with_name(f"{found.bundle.name}.points").exists()


def test_both_machines_work_and_few_tasks_are_under_way(both: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    assert both.cores() == 2
    given, most = [0], [0]
    ended = cluster_module._ended

    def counted(queue: Any) -> Any:
        for one in ended(queue):
            given[0] += 1
            yield one

    class Counted(list[int]):
        def __getitem__(self, number: Any) -> Any:
            most[0] = max(most[0], number + 1 - given[0])
            return super().__getitem__(number)

    monkeypatch.setattr(cluster_module, "_ended", counted)
    found = dict(both.results(work.node_of, 0.1, Counted(range(40)), work.program))
    assert sorted(found) == [*range(40)]
    assert len({*found.values()}) == 2
    assert most[0] <= 2 * 2 + 1
    assert dict(both.results(work.squared, 3, [*range(300)], work.program, 3)) == {k: k**3 for k in range(300)}
    assert list(both.results(work.squared, 3, [], work.program)) == []


def test_memory_of_many_tasks_that_answer_much_stays_flat(both: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """Answers of 3,000 tasks would take 15 MB; those that are under way take 50 kB."""
    _, first, *_, last = flat(both, 3_000)
    assert last - first < 10
    assert "3,000 tasks, " in capsys.readouterr().out


def test_lost_workers_are_replaced_but_not_for_ever(both: Cluster, tmp_path: Path) -> None:
    assert sorted(both.results(work.killed_first, tmp_path, [*range(6)], work.program)) == [(k, k) for k in range(6)]
    lost = tmp_path / "lost"
    lost.mkdir()
    with pytest.raises(InputError, match=f"--executor: lost the worker of one task {MOST_LOST} times"):
        list(both.results(work.always_killed, lost, [0], work.program))
    assert len([*lost.iterdir()]) == MOST_LOST


def test_what_a_task_raises_is_raised_here_and_the_rest_is_cancelled(both: Cluster) -> None:
    with pytest.raises(InputError, match=r"here: must not be three \(got 3\)"):
        list(both.results(work.refuses, None, [*range(100)], work.program))
    assert sorted(both.results(work.squared, 1, [1, 2], work.program)) == [(1, 1), (2, 2)]


def test_another_program_is_refused_by_name(both: Cluster) -> None:
    with pytest.raises(InputError) as raised:
        list(both.results(work.squared, 1, [1], work.own_process))
    assert len(raised.value.problems) == 2
    for problem in raised.value.problems:
        assert str(problem).startswith("--ray-address: numba: the machine ")
        assert "install the same on both" in str(problem)


def test_a_node_that_is_lost_loses_nothing(machines: Any, both: Cluster) -> None:
    third = machines.add_node(num_cpus=2, **ports())
    wait_for(lambda: both.cores() == 4)
    found: list[tuple[int, str]] = []
    for pair in both.results(work.node_of, 0.3, [*range(40)], work.program):
        found.append(pair)
        if len(found) == 10:
            assert third.node_id in {node for _, node in found}
            machines.remove_node(third, allow_graceful=False)
    assert sorted(number for number, _ in found) == [*range(40)]
    assert third.node_id not in {node for _, node in found[-5:]}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "simulator.cli", "sweep", str(SIZED), "--quiet", *arguments]


def test_what_ray_notices_is_not_among_results(
    machines: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    noticed = ""

    def is_said() -> bool:
        nonlocal noticed
        said = capfd.readouterr()
        noticed += said.err
        assert said.out == ""
        return "A worker died" in noticed

    with joined(machines.address) as found:
        assert sorted(found.results(work.killed_first, tmp_path, [1], work.program)) == [(1, 1)]
        wait_for(is_said)


def test_the_command_line(machines: Any, tmp_path: Path) -> None:
    options = [part for text in GRID for part in ("--grid", text)] + [part for text in SETS for part in ("--set", text)]
    said = {}
    for name, more in (("local", ["--jobs", "1"]), ("ray", ["--executor", "ray", "--ray-address", machines.address])):
        done = subprocess.run(
            command(*options, *more, "--out", str(tmp_path / name), "--format", "csv"),
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        said[name] = done.stdout
    assert said["ray"] == said["local"]
    assert files(tmp_path / "ray") == files(tmp_path / "local")


FOREVER = """
import signal, sys
from pathlib import Path
from simulator.cluster import joined
from tests.cluster import work
signal.signal(signal.SIGINT, signal.default_int_handler)
with joined(sys.argv[1]) as cluster:
    list(cluster.results(work.begun, Path(sys.argv[2]), [1, 2, 3, 4], work.program))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_tasks_end_with_whoever_asked(number: signal.Signals, machines: Any, tmp_path: Path) -> None:
    driver = subprocess.Popen(
        [sys.executable, "-c", FOREVER, machines.address, str(tmp_path)], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: len([*tmp_path.iterdir()]) >= 2)
    workers = [int(file.suffix[1:]) for file in tmp_path.iterdir()]
    assert all(map(is_alive, workers))
    os.kill(driver.pid, number)
    driver.wait(60)
    wait_for(lambda: not any(map(is_alive, workers)))
