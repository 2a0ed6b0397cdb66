"""What Python gives back: runs in memory, tables, charts, displays; and what it refuses."""

from __future__ import annotations

import dataclasses
import gc
import inspect
import subprocess
import sys
import typing
from pathlib import Path
from types import FunctionType

import pytest

import simulator
from simulator import Bundle, InputError, PlanOptions, Run, chart, load_scenario, plan_fleet, read_bundle, simulate
from simulator.results.frames import FRAMES

ROOT = Path(__file__).resolve().parents[2]
SCENARIO = ROOT / "tests/data/scenarios/dashboard.yaml"
EVENT = "study={months: 2, events: [{name: cheaper, from_month: 2, topology: own, change: {staff: {base_fte: 0.1}}}]}"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return simulate(load_scenario(SCENARIO), str(tmp_path_factory.mktemp("runs")))


def test_a_run_in_memory_is_the_same_and_leaves_no_file(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = simulate(str(SCENARIO), out=None)
    assert found.summary == run.summary
    assert found.table("latency").equals(run.table("latency"))
    folder = found.bundle
    assert folder.is_dir()
    del found
    gc.collect()
    assert not folder.parent.exists()
    assert not list(tmp_path.iterdir())


def test_what_is_refused_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(InputError):
        simulate(load_scenario(SCENARIO, sets=["topologies.own.pools[base].gpu=h1000"]), out=None)
    assert not list(tmp_path.iterdir())


def test_one_topology_alone_is_what_it_is_among_others(run: Run) -> None:
    loaded = load_scenario(SCENARIO, sets=[EVENT])
    alone = loaded.only("cloud")
    assert list(alone.scenario.topologies) == ["cloud"]
    assert not alone.scenario.study.events
    assert [event.topology for event in loaded.only("own", "api").scenario.study.events] == ["own"]
    assert list(loaded.only("api", "own").scenario.topologies) == ["own", "api"], "in the scenario's order"
    assert list(loaded.scenario.topologies) == ["own", "cloud", "api"]
    found = simulate(load_scenario(SCENARIO).only("cloud"), out=None).summary["topologies"]["cloud"]
    assert found["metrics"] == run.summary["topologies"]["cloud"]["metrics"]
    with pytest.raises(InputError, match="unknown topology 'clout': did you mean 'cloud'"):
        loaded.only("clout")


def test_typed_objects_are_a_scenario() -> None:
    loaded = load_scenario(SCENARIO)
    assert load_scenario(loaded.scenario).scenario == loaded.scenario
    busier = loaded.scenario.model_copy(update={"run": loaded.scenario.run.model_copy(update={"seed": 9})})
    assert load_scenario(busier).scenario.run.seed == 9


def test_tables_have_the_figures_of_the_summary(run: Run) -> None:
    assert set(run.tables) == {*FRAMES, "costs", "demand", "events", "fleet", "latency", "requests"}
    for name in run.tables:
        table = run.table(name)
        assert not len(table) or "topology" in table.columns, name
    topologies = run.table("topologies").set_index("topology")
    for name, found in run.summary["topologies"].items():
        row = topologies.loc[name]
        assert row["usd_per_month"] == found["cost"]["usd_per_month"]
        assert row["ttft_p95_s"] == found["metrics"]["ttft_s"]["p95"]
        assert row["is_cheapest"] == (name in run.decision["winners"])
    pools = run.table("pools")
    assert pools[["topology", "pool", "gpu"]].to_numpy().tolist() == [
        [name, pool["name"], pool["gpu"]]
        for name, found in run.summary["topologies"].items()
        for pool in found["pools"]
    ]
    assert run.table("providers")["topology"].tolist() == ["api"]
    assert len(run.table("replications")) == 3 * 2
    months = run.table("months")
    of_cloud = months[months["topology"] == "cloud"]
    assert of_cloud["usd"].tolist() == [month["usd"] for month in run.decision["topologies"]["cloud"]["months"]]
    assert of_cloud["replicas"].tolist() == [1] * len(of_cloud)
    assert {"class", "term", "met", "share"} <= {*run.table("slo_terms")}
    with pytest.raises(InputError, match="has no table 'poolz', only topologies, pools, "):
        run.table("poolz")


def test_samples_over_time_are_each_replications_own(run: Run) -> None:
    """What arrived at a pool is counted in its samples and, one by one, in the requests of the same replication."""
    fleet, requests = run.table("fleet"), run.table("requests")
    for pool in ("base", "rented"):
        sampled = fleet[fleet["pool"] == pool].groupby("replication")["arrivals"].sum()
        came = requests[requests["target"] == pool].groupby("replication").size()
        assert sampled.tolist() == came.tolist()
        assert len(set(came)) == 2, "other requests in each"


@pytest.mark.parametrize("name", ["overview", "costs", "spending", "ttft", "tpot", "e2e", "differences", "months"])
def test_charts_are_altair_objects_of_the_topologies_asked_for(run: Run, name: str) -> None:
    drawn = chart(run, name, ["cloud", "own"]).to_dict()
    of = {row["topology"] for rows in drawn["datasets"].values() for row in rows if "topology" in row}
    assert of <= {"cloud", "own"}
    assert of
    assert chart(read_bundle(run.bundle), name).to_dict()["$schema"] == drawn["$schema"]


def test_load_is_that_of_one_topology(run: Run) -> None:
    assert chart(run, "load", ["api"]).to_dict()["title"] == "api"


def test_charts_that_are_not_there_are_refused(run: Run) -> None:
    with pytest.raises(InputError, match=r"unknown topology 'clod'.*\n.*unknown chart 'ttf': did you mean 'ttft'"):
        chart(run, "ttf", ["clod"])
    with pytest.raises(TypeError, match="in brackets"):
        chart(run, "ttft", "cloud")


@pytest.mark.parametrize("wrong", [{"topologies": "cloud"}, {"pools": "base"}, {"gpus": "l40s"}, {"tps": 2}])
def test_options_of_a_plan_are_lists(wrong: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="in brackets"):
        PlanOptions(**wrong)  # type: ignore[arg-type]
    assert PlanOptions(gpus=["l40s"]).gpus == ("l40s",)


def test_notebooks_show_what_was_found(run: Run) -> None:
    loaded = load_scenario(SCENARIO, sets=["description=a <b>bold</b> one"])
    plan = plan_fleet(SCENARIO, PlanOptions(topologies=["cloud"], max_replicas=2))
    shown = loaded._repr_html_()
    assert "&lt;b&gt;" in shown
    assert all(f"<td>{name}</td>" in shown for name in loaded.scenario.topologies)
    assert "rented: 1 × h100-sxm, lambda" in shown
    for found in (run, read_bundle(run.bundle)):
        assert run.summary["verdict"].partition(";")[0] in found._repr_html_()
    assert run._repr_html_().count("<tr>") == 4
    assert "3,132" in run._repr_html_()
    shown = plan._repr_html_()
    assert shown.count("<tr") == 1 + len(plan.table())
    assert "<th>usd_per_month</th>" in shown
    assert "<th>pools</th>" not in shown
    assert "{" not in shown


def named(hint: object) -> set[type]:
    """Classes of ours in a type."""
    inner = {each for part in typing.get_args(hint) for each in named(part)}
    is_ours = isinstance(hint, type) and hint.__module__.startswith("simulator.")
    return inner | ({hint} if is_ours and isinstance(hint, type) else set())


def signatures() -> dict[str, set[type]]:
    import altair as alt
    import pandas as pd

    found = {}
    for name in simulator.__all__:
        public = getattr(simulator, name)
        functions = {name: public} if isinstance(public, FunctionType) else {}
        if isinstance(public, type) and public.__module__.split(".")[1] != "schema":
            functions = {
                f"{name}.{key}": getattr(each, "fget", each)
                for key, each in vars(public).items()
                if not key.startswith("_") and isinstance(each, FunctionType | property)
            }
            if dataclasses.is_dataclass(public):
                found[name] = {each for hint in typing.get_type_hints(public).values() for each in named(hint)}
        for key, function in functions.items():
            scope = {**inspect.unwrap(function).__globals__, "pd": pd, "alt": alt}
            hints = typing.get_type_hints(function, scope)
            assert hints.keys() >= {*inspect.signature(function).parameters} - {"self"}, f"{key}: types are missing"
            found[key] = {each for hint in hints.values() for each in named(hint)}
    return found


def test_every_class_of_a_signature_is_public() -> None:
    public = {getattr(simulator, name) for name in simulator.__all__}
    missing = {key: classes - public for key, classes in signatures().items() if classes - public}
    assert not missing
    assert signatures()["Run.table"] == set()
    assert simulator.Plan in signatures()["plan_fleet"]
    assert issubclass(InputError, simulator.ServecastError)
    assert issubclass(simulator.InvariantError, simulator.ServecastError)
    assert Bundle in public


SCRIPT = """
from pathlib import Path
from simulator import Bundle, InputError, PlanOptions, Run, chart, load_scenario, plan_fleet, read_bundle, simulate

def costs(file: str) -> dict[str, float]:
    try:
        loaded = load_scenario(file, sets=["run.seed=2"]).only("own")
    except InputError as error:
        raise SystemExit([problem.path for problem in error.problems]) from error
    run: Run = simulate(loaded.with_("run.replications=1"), out=None)
    bundle: Bundle = read_bundle(run.bundle)
    chart(bundle, "ttft").save("ttft.html")
    rows = run.table("topologies")[["topology", "usd_per_month"]].itertuples(index=False)
    plan = plan_fleet(loaded, PlanOptions(gpus=["l40s"]))
    print(plan.verdict, plan.table().shape)
    return {str(name): float(usd) for name, usd in rows}
"""


def test_a_user_s_script_has_types(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "wrong.py").write_text("from simulator import simulate\n\nsimulate(3).tabel('pools')\n")
    scripts = [str(tmp_path / name) for name in ("script.py", "wrong.py")]
    # just the project's own settings, strict as they are: any other empties the cache that mypy shares with lint
    command = [sys.executable, "-m", "mypy", *scripts]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    *wrong, _ = found.stdout.splitlines()
    assert all("wrong.py:3: error:" in line for line in wrong), found.stdout
    assert 'Argument 1 to "simulate" has incompatible type "int"' in found.stdout
    assert '"Run" has no attribute "tabel"' in found.stdout
