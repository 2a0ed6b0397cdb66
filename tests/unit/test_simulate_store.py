"""What is kept of simulations: whole, by key, below a size; what is damaged is simulated again."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from fleet_cases import fleet, pool, provider

from simulator.engine.config import Batching
from simulator.metrics.slo import ClassSlo, SloTerm
from simulator.perf.bounds import TokenBound
from simulator.simulate.codec import decode, encode
from simulator.simulate.demand import Demand
from simulator.simulate.key import fleet_key, outcome_key, trial_key
from simulator.simulate.one import Outcome, Subject, simulate_one
from simulator.simulate.store import MOST_IN_MEMORY, Store
from simulator.study.caches import CacheResets
from simulator.study.demand import When
from simulator.study.fleet import Autoscaler, Outages, Reliability
from simulator.workload.spec import ClassWorkload, Poisson, Profile, Uniform, WorkloadSpec

TOKENS = {"isl": Uniform(1, 60), "osl": Uniform(1, 40)}
CLASSES = (ClassWorkload("a", Poisson(2.0), **TOKENS), ClassWorkload("b", Poisson(1.0), **TOKENS))
DEMAND = Demand(
    (ClassSlo("a", (SloTerm("ttft_s", 0.9, 1.0),)), ClassSlo("b")), WorkloadSpec(CLASSES), 60.0, 5.0, 30.0, 3, 2
)
BOUND = TokenBound(1e12, 1e12)
SPEC = fleet((pool("x", 2, autoscaler=Autoscaler(1, 3, 5.0)), pool("y")), (provider(price_bands=(0, 30)),))
SUBJECT = Subject(SPEC, (BOUND, BOUND))


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    return simulate_one(SUBJECT, DEMAND, 0)


def test_an_outcome_comes_back_as_it_went(outcome: Outcome) -> None:
    content = encode(outcome)
    found = decode(content)
    assert isinstance(found, Outcome)
    assert encode(found) == content
    assert found.metrics.summary() == outcome.metrics.summary()
    assert repr(found.usage) == repr(outcome.usage)
    assert found.run.events.dtype == outcome.run.events.dtype
    assert np.array_equal(found.usage.providers[0].tokens, outcome.usage.providers[0].tokens)
    assert outcome.usage.providers[0].tokens.sum() > 0
    assert encode(simulate_one(SUBJECT, DEMAND, 0)) == content


def test_only_objects_of_this_package_are_made() -> None:
    with pytest.raises(TypeError):
        encode(Path("x"))
    for path in ("os:system", "simulator.rng:stream", "simulator.rng:hashlib.sha256"):
        file = io.BytesIO()
        np.savez(file, tree=np.frombuffer(json.dumps({"object": path, "state": {}}).encode(), np.uint8))
        with pytest.raises(ValueError, match="not a class"):
            decode(file.getvalue())


def test_a_key_is_of_what_is_simulated() -> None:
    key = outcome_key(SUBJECT, DEMAND, 0)
    assert key == outcome_key(replace(SUBJECT, fleet=replace(SPEC, name="other")), replace(DEMAND, replications=5), 0)
    first = SPEC.pools[0]
    step = first.step_time
    slower = replace(step, token_time_s=step.token_time_s + np.eye(*step.token_time_s.shape) * 1e-12)
    others = [
        outcome_key(SUBJECT, DEMAND, 1),
        outcome_key(SUBJECT, replace(DEMAND, seed=4), 0),
        outcome_key(SUBJECT, replace(DEMAND, horizon_s=61.0), 0),
        outcome_key(SUBJECT, replace(DEMAND, classes=(DEMAND.classes[0], ClassSlo("c"))), 0),
        outcome_key(SUBJECT, replace(DEMAND, workload=WorkloadSpec(CLASSES[::-1])), 0),
        outcome_key(replace(SUBJECT, fleet=replace(SPEC, providers=(provider(price_bands=(0, 31)),))), DEMAND, 0),
        outcome_key(SUBJECT, replace(DEMAND, when=When(clock_s=3600.0)), 0),
        *(
            outcome_key(replace(SUBJECT, fleet=replace(SPEC, pools=(changed, SPEC.pools[1]))), DEMAND, 0)
            for changed in (
                replace(first, replicas=3),
                replace(first, step_time=slower),
                replace(first, engine=replace(first.engine, batching=Batching.STATIC)),
                replace(first, autoscaler=None),
            )
        ),
    ]
    assert len({key, *others}) == len(others) + 1
    assert trial_key(SUBJECT, DEMAND) != trial_key(SUBJECT, replace(DEMAND, replications=3))


def test_every_field_of_a_fleet_counts_but_its_name_and_the_clock_that_the_demand_sets() -> None:
    """Whatever a fleet is given next: what was simulated without it is not taken for it."""
    key, same = outcome_key(SUBJECT, DEMAND, 0), {"name", "clock_s"}
    for field in fields(SPEC):
        changed = replace(SUBJECT, fleet=replace(SPEC, **{field.name: ("other",) if field.name not in same else 9.0}))
        assert (outcome_key(changed, DEMAND, 0) == key) == (field.name in same), field.name


def test_parts_of_a_month_are_one_trial_unless_something_befalls_the_fleet_by_chance() -> None:
    """What has no chance in it is the same in every part, to the byte, and simulated once."""
    later = replace(DEMAND, part=2)
    assert outcome_key(SUBJECT, later, 0) == outcome_key(SUBJECT, DEMAND, 0)
    assert encode(simulate_one(SUBJECT, later, 0)) == encode(simulate_one(SUBJECT, DEMAND, 0))
    first, second = SPEC.pools
    (api,) = SPEC.providers
    known = Reliability(known=((10.0, 20.0),))
    for luck in (
        Reliability(mtbf_s=9.0, mttr_s=1.0),
        Reliability(reclaim_mtbf_s=9.0),
        Reliability(unavailable_probability=0.1),
    ):
        struck = Subject(
            replace(SPEC, pools=(replace(first, reliability=known), replace(second, reliability=luck))), (BOUND, BOUND)
        )
        assert outcome_key(struck, later, 0) != outcome_key(struck, DEMAND, 0), luck
    for outages, same in ((Outages(9.0, 1.0), False), (Outages(windows=((1.0, 2.0),)), True)):
        for fleet_ in (
            replace(SPEC, providers=(replace(api, outages=outages),)),
            replace(SPEC, pools=(first, replace(second, outages=outages))),
        ):
            down = Subject(fleet_, (BOUND, BOUND))
            assert (outcome_key(down, later, 0) == outcome_key(down, DEMAND, 0)) == same


def test_a_fleet_whose_caches_are_forgotten_is_another_one() -> None:
    first, second = SPEC.pools
    forgetful = replace(SUBJECT, fleet=replace(SPEC, pools=(replace(first, cache_resets=CacheResets(60.0)), second)))
    assert fleet_key(forgetful) != fleet_key(SUBJECT)


def test_a_file_of_the_workload_is_known_by_its_content(tmp_path: Path) -> None:
    def key(name: str, text: str) -> str:
        file = tmp_path / name
        file.write_text(text)
        classes = (replace(CLASSES[0], arrivals=Profile(file)),)
        return outcome_key(SUBJECT, replace(DEMAND, workload=WorkloadSpec(classes)), 0)

    assert key("a", "one") == key("b", "one") != key("a", "two")


def test_the_same_fleet_under_other_names() -> None:
    idle = pool("spare", 0)
    assert fleet_key(SUBJECT) != fleet_key(replace(SUBJECT, fleet=fleet(SPEC.pools)))
    one = Subject(fleet((pool("x", 2),)), (BOUND,))
    two = Subject(fleet((pool("base", 2), idle)), (BOUND, BOUND))
    classes = tuple(replace(cls, allowed=(True,)) for cls in one.fleet.classes)
    assert fleet_key(one) == fleet_key(replace(two, fleet=replace(two.fleet, classes=classes)))
    assert fleet_key(one) != fleet_key(Subject(fleet((pool("x", 3),)), (BOUND,)))


def test_what_was_put_is_found_by_another_process(tmp_path: Path, outcome: Outcome) -> None:
    Store(tmp_path / "deep").put("k", outcome)
    other = Store(tmp_path / "deep")
    assert encode(other.get("k")) == encode(outcome)
    assert other.get("missing") is None
    assert (other.hits, other.misses) == (1, 1)


@pytest.mark.parametrize("damage", [lambda raw: raw[:-1], lambda raw: b"", lambda raw: raw[:40] + b"x" + raw[41:]])
def test_a_damaged_entry_is_a_miss(damage: object, tmp_path: Path, outcome: Outcome) -> None:
    Store(tmp_path).put("k", outcome)
    (file,) = tmp_path.iterdir()
    file.write_bytes(damage(file.read_bytes()))  # type: ignore[operator]
    store = Store(tmp_path)
    assert store.get("k") is None
    store.put("k", outcome)
    assert Store(tmp_path).get("k") is not None


def test_the_longest_unused_go_first(tmp_path: Path, outcome: Outcome) -> None:
    store = Store(tmp_path)
    for k, name in enumerate("abc"):
        store.put(name, outcome)
        os.utime(tmp_path / f"{name}.trial", (k, k))
    assert Store(tmp_path).get("a") is not None
    (size,) = {size for _, size, _ in store.files()}
    Store(tmp_path, limit_bytes=2 * size).sweep()
    assert {file.stem for file, _, _ in store.files()} == {"a", "c"}
    store.clear()
    assert store.files() == []


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path, outcome: Outcome) -> None:
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file" / "folder")
    store.put("k", outcome)
    assert store.get("k") is outcome


def test_a_process_holds_what_it_used_last_and_reads_the_rest_again(tmp_path: Path, outcome: Outcome) -> None:
    store = Store(tmp_path)
    for k in range(MOST_IN_MEMORY + 3):
        store.put(str(k), outcome)
    assert store.get("3") is outcome
    assert store.get("2") is not outcome
    assert store.get("3") is outcome
    assert store.get("4") is not outcome
    assert store.misses == 0


def test_what_no_file_holds_is_held_by_the_process(tmp_path: Path, outcome: Outcome) -> None:
    (tmp_path / "file").touch()
    for store in (Store(), Store(tmp_path / "file" / "folder")):
        for k in range(MOST_IN_MEMORY + 3):
            store.put(str(k), outcome)
        assert store.get("0") is outcome
        assert not store.can_keep
    assert Store(tmp_path / "new").can_keep


def test_what_a_killed_writer_left_goes(tmp_path: Path, outcome: Outcome) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (tmp_path / f".k.{gone.pid}").touch()
    (tmp_path / f".k.{os.getppid()}").touch()
    Store(tmp_path).put("k", outcome)
    assert {file.name for file in tmp_path.iterdir()} == {"k.trial", f".k.{os.getppid()}"}


def test_a_folder_is_swept_at_first_and_then_by_what_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file has 32 bytes and its content: with a limit of 200 of them it is looked through after more than four."""
    store = Store(tmp_path / "one")
    store.put("k0", 0)
    size = store.files()[0][1]
    swept: list[int] = []
    other = Store(tmp_path / "other", limit_bytes=200 * size)
    monkeypatch.setattr(Store, "sweep", lambda self: swept.append(len(self.files())))
    for k in range(12):
        other.put(f"k{k}", 0)
    assert swept == [1, 6, 11]
