"""Which machines of a cluster are asked for their program, and what is said of each; Ray itself is in tests/cluster."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from simulator import cluster as cluster_module
from simulator.cluster import MOST_LOST, Cluster
from simulator.errors import InputError, Problem

CHECK = (b"program", {"numba": "0.61"})
LOSSES = (
    *("WorkerCrashedError", "NodeDiedError", "LocalRayletDiedError", "OutOfMemoryError", "ObjectLostError"),
    *("RpcError", "TaskUnschedulableError"),
)


@dataclass
class Ray:
    """What Ray says of its machines: by node what `_checked` gives or raises there, None where it never answers."""

    answers: dict[str, Any]
    rows: list[dict[str, Any]]
    options: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, bool, Any]] = field(default_factory=list)
    exceptions = SimpleNamespace(**{name: type(name, (OSError,), {}) for name in LOSSES})
    util = SimpleNamespace(
        scheduling_strategies=SimpleNamespace(NodeAffinitySchedulingStrategy=lambda node, soft: (node, soft))
    )

    def nodes(self) -> list[dict[str, Any]]:
        return self.rows

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 3.0, "memory": 9.0}

    def remote(self, **options: Any) -> Any:
        self.options = options
        return lambda function: SimpleNamespace(options=lambda scheduling_strategy: self._task(*scheduling_strategy))

    def _task(self, node: str, soft: bool) -> Any:
        def remote(check: Any) -> Any:
            self.asked.append((node, soft, check))
            done: Future[Any] = Future()
            found = self.answers[node]
            if isinstance(found, Exception):
                done.set_exception(found)
            elif found is not None:
                done.set_result(found)
            return SimpleNamespace(future=lambda: done)

        return SimpleNamespace(remote=remote)


def row(node: str, alive: bool = True, cores: float = 2.0) -> dict[str, Any]:
    resources = {"CPU": cores} if cores else {"memory": 1.0}
    host = {"NodeManagerHostname": f"host-{node}", "NodeManagerAddress": f"10.0.0.{len(node)}"}
    return {"NodeID": node, "Alive": alive, "Resources": resources, **host}


def told(ray: Ray) -> list[str]:
    try:
        Cluster(ray)._check_machines(CHECK)
    except InputError as error:
        return [str(problem) for problem in error.problems]
    return []


def test_each_living_machine_with_cores_is_asked_itself_and_no_other() -> None:
    ray = Ray({"a": {}, "bb": {}}, [row("a"), row("dead", alive=False), row("coreless", cores=0.0), row("bb")])
    assert told(ray) == []
    assert sorted(ray.asked) == [("a", False, CHECK), ("bb", False, CHECK)]
    assert ray.options == {"num_cpus": 0, "max_retries": MOST_LOST}


def test_without_a_machine_that_has_cores_the_way_out_is_told() -> None:
    for rows in ([], [row("dead", alive=False)], [row("coreless", cores=0.0)]):
        ray = Ray({}, rows)
        assert told(ray) == ["--ray-address: has no machine with cores: add one by `ray start --address`"]
        assert ray.asked == []


def test_each_machine_is_told_by_its_name_with_what_is_wrong_there() -> None:
    other = {"numba": "0.60", "python": "3.12"}
    ray = Ray(
        {"a": other, "bb": ImportError("no servecast\n\n  not here \n"), "ccc": {}}, [row("a"), row("bb"), row("ccc")]
    )
    text = "the machine host-a (10.0.0.1) has another program than this one: install the same on both"
    assert told(ray) == [
        f"--ray-address: numba: {text} (got 0.60)",
        f"--ray-address: python: {text} (got 3.12)",
        "--ray-address: the machine host-bb (10.0.0.2) cannot run servecast, install it there: not here",
    ]


@pytest.mark.parametrize("loss", LOSSES)
def test_a_machine_that_is_lost_while_it_is_asked_is_no_fault(loss: str) -> None:
    ray = Ray({}, [row("a"), row("bb")])
    ray.answers = {"a": getattr(ray.exceptions, loss)("gone"), "bb": {}}
    assert told(ray) == []
    assert Cluster(ray)._is_loss(ray.answers["a"])
    assert not Cluster(ray)._is_loss(OSError("of the task itself"))


def test_machines_that_do_not_answer_are_all_named_after_those_that_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "_NODE_S", 0.01)
    ray = Ray({"zzz": None, "a": {"numba": "1"}, "bb": None}, [row("zzz"), row("a"), row("bb")])
    assert told(ray)[1:] == [
        "--ray-address: the machine host-bb (10.0.0.2) does not answer",
        "--ray-address: the machine host-zzz (10.0.0.3) does not answer",
    ]


def test_a_machine_has_the_same_program_where_all_that_it_names_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "_SEEN", {b"p": {"numba": "0.61", "ours": "1"}})
    assert cluster_module._checked((b"p", {"numba": "0.61", "ours": "1"})) == {}
    assert cluster_module._checked((b"p", {"numba": "0.60", "ours": "1", "more": "2"})) == {"numba": "0.61"}
    assert cluster_module._checked((b"p", {"numba": "0.61"})) == {"ours": "1"}
    assert cluster_module._without("m", KeyError()) == Problem(
        "the machine m cannot run servecast, install it there: KeyError", "--ray-address"
    )
    assert Cluster(Ray({}, [])).cores() == 3
