"""Shards of a sweep are disjoint, complete and alike in size; merged they are the sweep, or what is wrong is said."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from importlib import import_module
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.results.bundle import read_bundle
from simulator.results.seal import MANIFEST, sealed
from simulator.results.shelf import bundle_folders, sweep_folders
from simulator.sweep.grid import Sweep, read_sweep
from simulator.sweep.merge import merge_shards
from simulator.sweep.shard import Shard, read_shard
from simulator.sweep.sweep import run_sweep
from simulator.sweep.tasks import Task, points_and_tasks

SIZED = Path(__file__).resolve().parents[2] / "tests/data/scenarios/sized.yaml"
RATE = "workload.classes[chat].arrivals.rate_rps"
TP = "topologies.own.pools[base].tensor_parallel_size"
SHORT = ("run.replications=1", "run.horizon_s=20")


@given(st.integers(0, 60), st.integers(1, 70))
def test_every_task_is_in_one_shard_and_shards_are_alike_in_size(tasks: int, shards: int) -> None:
    all_tasks = [
        cast(Task, SimpleNamespace(key=hashlib.sha256(str(number).encode()).hexdigest())) for number in range(tasks)
    ]
    shares = [Shard(number, shards).share(all_tasks) for number in range(1, shards + 1)]
    assert sorted(task.key for share in shares for task in share) == sorted(task.key for task in all_tasks)
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1
    assert all(share == [task for task in all_tasks if task in share] for share in shares)


@pytest.mark.parametrize(
    "text", ["", "3", "0/8", "9/8", "-1/8", "1/0", "1/8/2", "a/b", "1.0/2", "1/10000000000", "٣/8"]
)
def test_a_shard_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--shard: must be a share of several, from 1/8 to 8/8"):
        read_shard(text)


def wanted(*sets: str, name: str = RATE, values: str = "10,20,-1") -> Sweep:
    return read_sweep(SIZED, [f"{name}={values}", f"{TP}=1,3"], sets=(*SHORT, *sets))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures that follow from the key, in place of simulations; each sweep is looked through once."""

    def figures(_: Sweep, task: Task) -> dict[str, Any]:
        number = int(task.key[:6], 16)
        if number % 5 == 0:
            return {"status": "failed", "error": f"number {number}"}
        return {"status": "ok", "error": None, "slo_met": number % 2 == 0, "usd_per_month": number / 7}

    looked: dict[str, Any] = {}

    def once(sweep: Sweep) -> Any:
        return looked[repr(sweep)] if repr(sweep) in looked else looked.setdefault(repr(sweep), points_and_tasks(sweep))

    module = import_module("simulator.sweep.sweep")
    monkeypatch.setattr(module, "perform", figures)
    monkeypatch.setattr(module, "points_and_tasks", once)


def shards_of(sweep: Sweep, out: Path, of: int) -> list[Path]:
    return [run_sweep(sweep, out, 1, shard=Shard(number, of)).bundle for number in range(1, of + 1)]


def same_files(one: Path, other: Path) -> None:
    files = sorted(file.relative_to(one) for file in one.rglob("*") if file.is_file())
    assert files == sorted(file.relative_to(other) for file in other.rglob("*") if file.is_file())
    assert Path("sweep.parquet") in files
    for file in files:
        assert (one / file).read_bytes() == (other / file).read_bytes(), file


def test_merged_shards_are_the_sweep_byte_for_byte(tmp_path: Path) -> None:
    sweep = wanted(values="10,-1")
    whole = run_sweep(sweep, tmp_path / "whole", 1)
    found = merge_shards(shards_of(sweep, tmp_path / "parts", 2), tmp_path / "merged")
    assert found.bundle.name == whole.bundle.name
    assert (found.points, found.failed, found.paths) == (whole.points, whole.failed, [RATE, TP])
    assert found.table.equals(whole.table)
    same_files(found.bundle, whole.bundle)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("of", [1, 3, 8, 20])
def test_any_number_of_shards_in_any_order_gives_the_same_bytes(of: int, tmp_path: Path) -> None:
    """Of more shards than simulations some are empty. Each lies in another folder, as one from another machine."""
    sweep = wanted(values="1,2,3,4,-1")
    whole = run_sweep(sweep, tmp_path / "whole", 1)
    _, tasks = points_and_tasks(sweep)
    parts = shards_of(sweep, tmp_path / "parts", of)
    moved = [part.rename(tmp_path / f"machine-{number}") for number, part in enumerate(parts)]
    counts = [len(json.loads((part / "results.json").read_text())) for part in moved]
    assert sum(counts) == len(tasks)
    assert max(counts) - min(counts) <= 1
    same_files(merge_shards(moved[::-1], tmp_path / "merged").bundle, whole.bundle)


@pytest.mark.usefixtures("quick")
def test_files_that_the_scenario_names_come_along(tmp_path: Path) -> None:
    lines = "\n".join(f"{second},100,20" for second in range(20))
    (tmp_path / "t.csv").write_text(f"arrival_s,input_tokens,output_tokens\n{lines}\n")
    text = SIZED.read_text().replace("{kind: poisson, rate_rps: 150}", "{kind: trace, file: t.csv}")
    (tmp_path / "s.yaml").write_text(re.sub(r" +lengths: .*\n", "", text))
    sweep = read_sweep(tmp_path / "s.yaml", ["run.seed=1,2"])
    whole = run_sweep(sweep, tmp_path / "whole", 1)
    merged = merge_shards(shards_of(sweep, tmp_path / "parts", 2), tmp_path / "merged")
    assert (merged.bundle / "traffic/t.csv").read_text() == (tmp_path / "t.csv").read_text()
    same_files(merged.bundle, whole.bundle)


def refused(folders: list[Path], *words: str) -> None:
    out = folders[0].parent / "merged"
    with pytest.raises(InputError) as raised:
        merge_shards(folders, out)
    for word in words:
        assert word in str(raised.value)
    assert not out.exists()


def sealed_anew(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    change(manifest)
    rest = {key: value for key, value in manifest.items() if key not in ("seal", "sha256")}
    (folder / MANIFEST).write_text(json.dumps(sealed(rest, folder)))


@pytest.mark.usefixtures("quick")
def test_what_is_missing_is_named(tmp_path: Path) -> None:
    parts = shards_of(wanted(), tmp_path, 8)
    for gone in combinations(range(8), 2):
        kept = [part for number, part in enumerate(parts) if number not in gone]
        names = ", ".join(f"{number + 1}/8" for number in gone)
        refused(kept, f"{kept[0] / MANIFEST}: shards: ", f"missing: {names};", f"with --shard {gone[0] + 1}/8")


@pytest.mark.usefixtures("quick")
def test_shards_that_do_not_go_together_are_named(tmp_path: Path) -> None:
    one, two = shards_of(wanted(), tmp_path, 2)
    third = shards_of(wanted(), tmp_path, 3)[1]
    refused([one, third], f"{third / MANIFEST}: shards: is one of 3 shards", str(one), "(got 2/3)")
    refused([one, two, two], f"{two / MANIFEST}: shard: is in {two} too", "give it once")
    for other in (wanted("run.seed=9"), wanted(values="10,30"), wanted(name="run.seed", values="1,2")):
        foreign = shards_of(other, tmp_path / "other", 2)[1]
        refused([one, foreign], f"{foreign / MANIFEST}: of: is a shard of another sweep", "merge each sweep by itself")
    assert {one, two, third} == {one, two, third} & {*sweep_folders([tmp_path], "shard")}
    assert not bundle_folders([tmp_path])
    assert not sweep_folders([tmp_path])


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("key", ["servecast", "program_sha256", "numba", "python"])
def test_shards_of_another_program_are_named(key: str, tmp_path: Path) -> None:
    one, two = shards_of(wanted(), tmp_path, 2)
    sealed_anew(two, lambda manifest: manifest.update({key: "0.0.1"}))
    refused([one, two], f"{two / MANIFEST}: {key}: is a shard by another program", "(got 0.0.1)", "the same program")
    sealed_anew(one, lambda manifest: manifest.update({key: "0.0.1"}))
    if key == "servecast":
        refused([one, two], f"{one / MANIFEST}: servecast: was simulated by another version", "merge with that version")
    else:
        merge_shards([one, two], tmp_path / "merged")


@pytest.mark.usefixtures("quick")
def test_what_is_no_shard_is_named(tmp_path: Path) -> None:
    one, two = shards_of(wanted(), tmp_path, 2)
    whole = run_sweep(wanted(), tmp_path, 1).bundle
    refused([one, whole], f"{whole}: is a whole sweep")
    refused([one, tmp_path / "none"], f"{tmp_path / 'none'}", "no such folder")
    kept = two.with_name(f"{two.name}.points")
    kept.mkdir()
    refused([one, kept], f"{kept}: holds what an interrupted sweep had finished")
    with pytest.raises(InputError, match="is a shard of a sweep, not a run"):
        read_bundle(one)
    results = two / "results.json"
    before = results.read_text()
    results.write_text(before[:-1])
    refused([one, two], f"{results}: was altered")
    for broken in ("[]", "{}", '{"a": 3}', '{"a": {}}', "null"):
        results.write_text(broken)
        sealed_anew(two, lambda manifest: None)
        refused([one, two], str(two.parent))
    results.write_text(before)
    points = two / "points.json"
    told = json.loads(points.read_text())
    for wrong in ([], [*told[1:], {**told[0], "values": {}}], [{"values": told[0]["values"]}]):
        points.write_text(json.dumps(wrong))
        sealed_anew(two, lambda manifest: None)
        refused([one, two], f"{two}: is a broken shard")
        refused([two], f"{two}: is a broken shard")
    points.write_text(json.dumps(told))
    sealed_anew(two, lambda manifest: manifest.update(shard="x"))
    refused([one, two], f"{two}: is a broken shard")


@pytest.mark.usefixtures("quick")
def test_an_interrupted_shard_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = import_module("simulator.sweep.sweep")
    quick, calls = module.perform, []

    def counted(_: Sweep, task: Task) -> dict[str, Any]:
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(task.key)
        return {**quick(_, task), "status": "ok"}

    monkeypatch.setattr(module, "perform", counted)
    sweep = wanted(values="1,2,3,4")
    with pytest.raises(KeyboardInterrupt):
        run_sweep(sweep, tmp_path, 1, shard=Shard(1, 2))
    monkeypatch.setattr(module, "perform", quick)
    other = run_sweep(sweep, tmp_path, 1, shard=Shard(2, 2))
    assert other.resumed == 0
    found = run_sweep(sweep, tmp_path, 1, shard=Shard(1, 2))
    assert found.resumed == 3
    assert sorted(folder.name for folder in tmp_path.iterdir()) == sorted([found.bundle.name, other.bundle.name])
