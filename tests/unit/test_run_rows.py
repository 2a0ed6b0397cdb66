"""The rows of a size that was searched are those of its trial: none of it is simulated again, and no byte differs."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.fleet.records import RECORD
from simulator.run.simulate import simulate
from simulator.scenario.load import LoadedScenario, load_scenario
from simulator.simulate.rows import Rows
from simulator.simulate.store import Store
from simulator.study.demand import WHOLE_MONTH

SIZED = Path(__file__).resolve().parents[1] / "data/scenarios/sized.yaml"
ONE = import_module("simulator.simulate.one")


def sized(*sets: str) -> LoadedScenario:
    opened = [f"topologies.{name}.replicas=auto" for name in ("own.pools[base]", "two.pools[base]", "two.pools[burst]")]
    opened.append("topologies.elastic.pools[rented].autoscaler=auto")
    return load_scenario(
        SIZED,
        sets=[
            "run.horizon_s=12",
            "workload.classes[chat].arrivals.rate_rps=70",
            "run.keep_requests=true",
            *opened,
            *sets,
        ],
    )


def same_bytes(one: Path, other: Path) -> None:
    files = sorted(file.name for file in one.iterdir() if file.name != "timing.json")
    assert files == sorted(file.name for file in other.iterdir() if file.name != "timing.json")
    for file in files:
        assert (one / file).read_bytes() == (other / file).read_bytes(), file


@pytest.mark.parametrize(
    "sets",
    [
        (),
        pytest.param(
            ("study={months: 4, periods: [{name: peak, hours_per_month: 200, load: 1.5}, {name: rest}]}",),
            marks=pytest.mark.exhaustive,
        ),
        pytest.param(("topologies.elastic.pools[rented].reliability={mtbf_h: 0.02}",), marks=pytest.mark.exhaustive),
    ],
)
def test_a_bundle_is_the_same_whether_rows_are_kept_or_simulated_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sets: tuple[str, ...]
) -> None:
    made: list[tuple[Any, int]] = []
    real = ONE.simulate_fleet

    def counted(spec: Any, *rest: Any, **more: Any) -> Any:
        made.append((spec, more["seed"]))
        return real(spec, *rest, **more)

    monkeypatch.setattr(ONE, "simulate_fleet", counted)
    loaded = sized(*sets)
    kept = simulate(loaded, tmp_path / "kept")
    with_rows = len(made)
    monkeypatch.setattr(Rows, "of", lambda self, key: None)
    again = simulate(loaded, tmp_path / "again")
    sizes = {name: told["search"]["sizes"] for name, told in kept.summary["topologies"].items()}
    distinct = len({str(sorted(n for n in found.values() if n != "0")) for found in sizes.values()})
    assert len(made) - with_rows - with_rows >= distinct * loaded.scenario.run.replications
    same_bytes(kept.bundle, again.bundle)


def blocks(*sizes: int) -> list[Any]:
    found = [np.zeros(n, RECORD) for n in sizes]
    for k, block in enumerate(found):
        block["request"] = k
    return found


def test_blocks_come_back_as_they_were_taken(tmp_path: Path) -> None:
    rows = Rows(tmp_path, WHOLE_MONTH)
    with rows.taking("key") as keep:
        for block in blocks(3, 0, 5):
            keep(block)
    given = rows.of("key")
    assert given is not None
    assert [block.tobytes() for block in given] == [block.tobytes() for block in blocks(3, 0, 5)]
    rows.drop(["key"])
    assert rows.of("key") is None


def test_what_was_given_up_or_has_no_room_is_not_kept(tmp_path: Path) -> None:
    rows = Rows(tmp_path, WHOLE_MONTH, limit_bytes=10 * RECORD.itemsize)

    def refused() -> None:
        with rows.taking("refused") as keep:
            keep(blocks(1)[0])
            raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        refused()
    with rows.taking("large") as keep:
        for block in blocks(6, 6):
            keep(block)
    assert rows.of("refused") is None
    assert rows.of("large") is None
    assert list(tmp_path.iterdir()) == []


def test_only_the_best_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[int] = []
    drop = Rows.drop

    def dropped(rows: Rows, keys: Any) -> None:
        drop(rows, keys)
        left.append(len(list(rows.folder.iterdir())))

    monkeypatch.setattr(Rows, "drop", dropped)
    loaded = sized()
    simulate(loaded, tmp_path, store=Store())
    assert max(left) <= loaded.scenario.run.replications * len(loaded.scenario.topologies)


def test_a_place_that_cannot_be_written_keeps_none(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "gone", WHOLE_MONTH)
    with rows.taking("key") as keep:
        keep(blocks(1)[0])
    assert rows.of("key") is None
