"""The command line as a user meets it: output, exit codes, one clear error each."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.catalog.tokens import token_offers
from simulator.cli.main import _run

ROOT = Path(__file__).resolve().parents[2]
SMALL = str(ROOT / "tests/data/scenarios/small.yaml")
TRACES = ROOT / "tests/data/vllm-schedule-traces"

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    assert _run(["run", SMALL, "--out", str(out)]) == 0
    (path,) = out.iterdir()
    return path


def test_help_lists_the_commands() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "simulator.cli", "--help"], capture_output=True, text=True, check=True
    )
    for command in ("run", "compare", "validate", "verify", "catalog", "schema", "doctor", "report", "bench"):
        assert command in shown.stdout


def test_a_run_prints_the_comparison_and_the_bundle(bundle: Path, capsys: Capture, tmp_path: Path) -> None:
    assert _run(["run", SMALL, "--out", str(tmp_path)]) == 0
    first = capsys.readouterr().out
    for words in ("SLO attainment", "TTFT p99 [ms]", "$ per month", "$ per 1M tokens", "capex", "break-even"):
        assert words in first
    assert "expected error (median): TTFT" in first
    assert "cheapest topology that meets the SLO" in first
    assert _run(["run", SMALL, "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out == first
    (again,) = tmp_path.iterdir()
    assert again.name == bundle.name
    for file in bundle.glob("*.parquet"):
        assert file.read_bytes() == (again / file.name).read_bytes()
    assert (bundle / "summary.json").read_bytes() == (again / "summary.json").read_bytes()


def test_restricted_requests_never_leave_the_perimeter(bundle: Path) -> None:
    import pandas as pd

    rows = pd.read_parquet(bundle / "requests.parquet")
    mixed = rows[rows["topology"] == "mixed"]
    assert set(mixed[mixed["class"] == "secret"]["target"]) == {"base"}
    assert {"burst", "api"} & set(mixed[mixed["class"] == "chat"]["target"])


def test_topologies_are_served_the_same_requests(bundle: Path) -> None:
    import pandas as pd

    rows = pd.read_parquet(bundle / "requests.parquet")
    keys = ["replication", "request", "class", "isl", "osl", "arrival_s"]
    own, mixed = (
        rows[rows["topology"] == name][keys].sort_values(["replication", "request"]).reset_index(drop=True)
        for name in ("own", "mixed")
    )
    pd.testing.assert_frame_equal(own, mixed)


def test_costs_add_up_to_the_cent(bundle: Path) -> None:
    import pandas as pd

    lines = pd.read_parquet(bundle / "costs.parquet")
    summary = json.loads((bundle / "summary.json").read_text())
    for name, topology in summary["topologies"].items():
        total = lines[lines["topology"] == name]["usd_per_month"].sum()
        assert total == pytest.approx(topology["cost"]["usd_per_month"], abs=0.01)


def test_json_goes_to_stdout_whole(capsys: Capture, tmp_path: Path) -> None:
    assert _run(["run", SMALL, "--out", str(tmp_path), "--format", "json", "--set", "run.replications=1"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert set(data["topologies"]) == {"own", "mixed"}


def test_check_answers_no_when_nothing_meets_the_slo(tmp_path: Path, capsys: Capture) -> None:
    impossible = ["--set", "workload.classes[chat].slo.ttft_s={p99: 0.0001}", "--set", "run.replications=1"]
    assert _run(["run", SMALL, "--out", str(tmp_path), "--check", *impossible]) == 1
    assert "No topology meets the SLO" in capsys.readouterr().out


def test_an_unstable_load_is_warned_of_before_and_counted_after(tmp_path: Path, capsys: Capture) -> None:
    flood = ["--set", "workload.classes[chat].arrivals.rate_rps=900", "--set", "topologies.mixed.providers=[]"]
    flood += ["--set", "topologies.mixed.routing={kind: weighted}"]
    flood += ["--set", "run={horizon_s: 10, drain_s: 0, replications: 1}"]
    assert _run(["validate", SMALL, *flood]) == 0
    assert "unstable" in capsys.readouterr().out
    assert _run(["run", SMALL, "--out", str(tmp_path), *flood]) == 0
    shown = capsys.readouterr().out
    assert "unstable" in shown
    assert "requests unfinished" in shown


def test_too_long_requests_are_rejected_and_counted(tmp_path: Path, capsys: Capture) -> None:
    lengths = "workload.classes[secret].lengths.isl"
    assert _run(["validate", SMALL, "--set", f"{lengths}=9000"]) == 2
    assert "the shortest request has" in capsys.readouterr().err
    long = ["--set", f"{lengths}={{kind: uniform, low: 8000, high: 9000}}", "--set", "run.replications=1"]
    assert _run(["run", SMALL, "--out", str(tmp_path), *long]) == 0
    assert "requests rejected" in capsys.readouterr().out


def test_validate_counts_what_it_checked(capsys: Capture) -> None:
    topologies = "topologies={own: {pools: [{name: base, site: datacentre, gpu: h100-sxm, billing: owned}]}}"
    classes = "workload.classes=[{name: chat, arrivals: {kind: poisson, rate_rps: 1}, lengths: {isl: 100, osl: 10}}]"
    assert _run(["validate", SMALL, "--set", topologies, "--set", classes]) == 0
    assert ": 1 topology, 1 request class, no problems" in capsys.readouterr().out


def test_validate_says_of_each_topology_with_open_sizes_that_a_run_looks_for_them(capsys: Capture) -> None:
    pools = "pools: [{name: base, site: datacentre, gpu: h100-sxm, billing: owned, replicas: "
    topologies = f"topologies={{told: {{{pools}2}}]}}, open: {{{pools}auto}}]}}, too: {{{pools}auto}}]}}}}"
    assert _run(["validate", SMALL, "--set", topologies]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if "left open" in line]
    assert said == [
        f"! {name}: sizes, hours or thresholds are left open: run looks for them" for name in ("open", "too")
    ]


def test_validate_warns_of_what_vllm_turns_off(capsys: Capture) -> None:
    drafts = "engine.speculative_config={method: ngram, num_speculative_tokens: 3, acceptance: 0.5}"
    assert _run(["validate", SMALL, "--set", drafts]) == 0
    warnings = [line for line in capsys.readouterr().out.splitlines() if line.startswith("! ")]
    assert [line for line in warnings if "async_scheduling" in line] == warnings[:1]
    assert warnings[0].startswith(f"! --set {drafts}: async_scheduling: auto is off: ")


def test_an_offer_that_nobody_can_buy_any_more_is_told(tmp_path: Path, capsys: Capture) -> None:
    (offer,) = [one for one in token_offers().values() if one.id == "together/llama-3.3-70b"]
    assert offer.retired is not None
    said = f"{offer.id} is sold no more since {offer.retired.date}, by {offer.retired.source}"
    cls = "{name: chat, arrivals: {kind: poisson, rate_rps: 1}, lengths: {isl: 100, osl: 10}, data_class: public}"
    sets = ["--set", f"workload.classes=[{cls}]", "--set", "run.horizon_s=60"]
    json_to = ["--out", str(tmp_path), "--format", "json"]
    for name, is_told in ((offer.id, True), ("openai/gpt-4o-mini", False)):
        own = ["--set", f"topologies={{api: {{providers: [{{name: a, offer: {name}}}]}}}}"]
        assert _run(["validate", SMALL, *sets, *own]) == 0
        assert (f"! {said}\n" in capsys.readouterr().out) is is_told
        assert _run(["run", SMALL, *sets, *own, *json_to]) in (0, 1)
        (api,) = json.loads(capsys.readouterr().out)["topologies"].values()
        assert ({"kind": "basis", "text": said} in api["warnings"]) is is_told
    later = f"{{name: e, from_month: 2, topology: api, change: {{providers: [{{name: a, offer: {offer.id}}}]}}}}"
    own += ["--set", f"study={{months: 2, events: [{later}]}}"]
    assert _run(["validate", SMALL, *sets, *own]) == 0
    assert f"! {said}\n" in capsys.readouterr().out, "an event brings it"
    assert _run(["run", SMALL, *sets, *own, *json_to]) in (0, 1)
    (api,) = json.loads(capsys.readouterr().out)["topologies"].values()
    assert {"kind": "basis", "text": said} in api["warnings"], "an event brings it"
    assert _run(["catalog", "token_offers", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["name"]: row["retired"] for row in rows}[offer.id] == offer.retired.date


def test_validate_warns_of_taxes_and_fees_that_are_on_nothing(capsys: Capture) -> None:
    """At their place, in a study with events, too: unless one of these brings what they are on."""
    api = "{providers: [{name: a, offer: openai/gpt-4o-mini}], fees: [{name: f, usd_per_gpu_month: 7}]}"
    cls = "{name: chat, arrivals: {kind: poisson, rate_rps: 1}, lengths: {isl: 100, osl: 10}, data_class: public}"
    sets = ["--set", f"topologies.api={api}", "--set", f"workload.classes=[{cls}]"]
    said = f"! --set topologies.api={api}: topologies.api.fees[0].usd_per_gpu_month: without effect, as api has no pool"
    assert _run(["validate", SMALL, *sets]) == 0
    assert said in capsys.readouterr().out
    event = "study={{months: 2, events: [{{name: e, from_month: 2, topology: {}, change: {}}}]}}"
    gpus = "{pools: [{name: g, site: lambda, gpu: h100-sxm}]}"
    for topology, change, on_nothing in (
        ("api", "{staff: {}}", True),
        ("own", "{staff: {base_fte: 1}}", True),
        ("api", gpus, False),
    ):
        assert _run(["validate", SMALL, *sets, "--set", event.format(topology, change)]) == 0
        assert (said in capsys.readouterr().out) is on_nothing


def test_validate_plans_what_events_bring(capsys: Capture) -> None:
    study = (
        "study={months: 2, events: [{name: e, from_month: 2, topology: own, change: {pools: [{name: base, gpu: x}]}}]}"
    )
    assert _run(["validate", SMALL, "--set", study]) == 2
    assert "study.events[0].change.pools[0].gpu: e: unknown GPU 'x'" in capsys.readouterr().err


def test_validate_resolves(capsys: Capture) -> None:
    assert _run(["validate", SMALL, "--resolved"]) == 0
    assert "# default" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "nowhere.yaml"], "cannot be read"),
        (["run", SMALL, "--set", "model=lama"], "did you mean"),
        (["validate", SMALL, "--set", "run.horizon_s=-1"], "must be greater than 0"),
        (["compare", "nowhere"], "is not a run bundle"),
        (["catalog", "gpu"], "did you mean 'gpus'"),
        (["catalog", "gpus", "h100"], "unknown"),
        (["verify", "schedule", "nowhere.json"], "nowhere.json"),
        (["report", "nowhere"], "is not a run bundle"),
    ],
)
def test_bad_input_is_one_clear_error_and_exit_code_2(arguments: list[str], words: str, capsys: Capture) -> None:
    assert _run(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert words in shown.err
    assert "Traceback" not in shown.err


def test_unknown_options_are_usage_errors(capsys: Capture) -> None:
    assert _run(["run", SMALL, "--frobnicate"]) == 2


def test_a_broken_trace_row_is_named(tmp_path: Path, capsys: Capture) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("arrival_s,input_tokens,output_tokens\n0.0,10,5\n1.0,ten,5\n")
    arrivals = f"workload.classes[chat].arrivals={{kind: trace, file: {trace}}}"
    assert _run(["run", SMALL, "--out", str(tmp_path / "runs"), "--set", arrivals]) == 2
    assert f"{trace}:3" in capsys.readouterr().err
    assert not list((tmp_path / "runs").glob("*")) or all("partial" in p.name for p in (tmp_path / "runs").iterdir())


def test_ctrl_c_keeps_partial_results(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    import simulator.run.replications as module

    real, calls = module.simulate_one, []

    def interrupted(*args: object, **options: object) -> object:
        calls.append(1)
        if len(calls) > 1 and any(tmp_path.iterdir()):
            raise KeyboardInterrupt
        return real(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "simulate_one", interrupted)
    assert _run(["run", SMALL, "--out", str(tmp_path)]) == 130
    (partial,) = tmp_path.iterdir()
    assert partial.name.endswith(".partial")
    assert json.loads((partial / "manifest.json").read_text())["status"] == "partial"


def test_verify_schedule_reports_identity_and_differences(tmp_path: Path, capsys: Capture) -> None:
    plain = TRACES / "plain.json"
    assert _run(["verify", "schedule", str(plain)]) == 0
    assert "kernel: 563 / 563 steps identical" in capsys.readouterr().out
    changed = json.loads(plain.read_text())
    changed["steps"][7]["free_blocks"] += 1
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(changed))
    assert _run(["verify", "schedule", str(broken)]) == 1
    shown = capsys.readouterr().out
    assert "562 / 563" in shown
    assert "entry 7" in shown
    assert "decided, by the reference:" in shown
    assert _run(["verify", "versions", str(broken)]) == 1
    assert "562 / 563" in capsys.readouterr().out


def test_verify_schedule_reports_by_mode_and_names_a_version_that_is_not_proven(
    tmp_path: Path, capsys: Capture
) -> None:
    newer = json.loads((TRACES / "plain.json").read_text())
    newer["config"]["vllm_version"] = "0.99.0"
    (tmp_path / "newer.json").write_text(json.dumps(newer))
    (tmp_path / "nochunk.json").write_bytes((TRACES / "nochunk.json").read_bytes())
    assert _run(["verify", "schedule", str(tmp_path), "--engine", "reference"]) == 0
    shown = capsys.readouterr().out
    assert "vLLM 0.99.0: no recordings have proven it; replayed by the rules of 0.33.0" in shown
    (row,) = [line for line in shown.splitlines() if line.startswith("plain ")]
    assert row.split() == ["plain", "626", "/", "626", "563", "/", "563"]


def test_catalog_and_schema_print(capsys: Capture) -> None:
    assert _run(["catalog"]) == 0
    assert _run(["catalog", "gpus"]) == 0
    assert "h100-sxm" in capsys.readouterr().out
    assert _run(["catalog", "gpus", "h100-sxm", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)
    assert _run(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["$schema"].startswith("http://json-schema.org/draft-07")


def test_doctor_is_content(capsys: Capture) -> None:
    assert _run(["doctor"]) == 0
    assert "compiled kernels" in capsys.readouterr().out


def test_compare_puts_bundles_side_by_side(bundle: Path, capsys: Capture) -> None:
    assert _run(["compare", str(bundle), str(bundle)]) == 0
    assert f"{bundle.name}/own" in capsys.readouterr().out


def test_disaggregation_runs_and_its_mistakes_are_named(tmp_path: Path, capsys: Capture) -> None:
    scenario = str(ROOT / "scenarios/onprem/disaggregation.yaml")
    short = ["--set", "run.horizon_s=60", "--set", "run.warmup_s=5", "--set", "run.replications=1"]
    assert _run(["run", scenario, "--out", str(tmp_path), "--format", "json", *short]) == 0
    topologies = json.loads(capsys.readouterr().out)["topologies"]
    assert topologies["disaggregated"]["metrics"]["statuses"]["completed"] > 100
    for change, words in (
        ("topologies.disaggregated.pools[prompts].hands_to=answer", "did you mean 'answers'"),
        ("topologies.disaggregated.pools[prompts].role=both", "only a pool with role prefill hands over"),
        ("topologies.disaggregated.pools[answers].pipeline_parallel_size=2", "has pipeline stages"),
        ("topologies.disaggregated.pools[answers].tensor_parallel_size=3", "must divide that"),
    ):
        assert _run(["validate", scenario, "--set", change]) == 2
        assert words in capsys.readouterr().err


def test_steps_end_as_in_the_run(bundle: Path, capsys: Capture) -> None:
    asked = ["steps", str(bundle), "--topology", "own", "--format", "csv"]
    assert _run(asked) == 0
    told = capsys.readouterr()
    assert told.err == ""
    for window in (["--start-s", "0"], ["--seconds", "10"]):
        assert _run([*asked, *window]) == 0
        assert capsys.readouterr().out == told.out, "the first ten seconds unless told otherwise"
    assert _run([*asked, "--start-s", "1"]) == 0
    assert capsys.readouterr().out != told.out


@pytest.mark.exhaustive
def test_steps_of_a_replica_whose_cache_is_reset_end_as_in_the_run(capsys: Capture, tmp_path: Path) -> None:
    resets = "engine.prefix_cache_resets={every_s: 1, reset_running_requests: true}"
    sets = ["--set", "engine.enable_prefix_caching=true", "--set", resets, "--set", "run.replications=1"]
    alone = tmp_path / "alone.yaml"
    text = Path(SMALL).read_text()
    alone.write_text(text[: text.index("  mixed:")] + text[text.index("run: {") :])
    assert _run(["run", str(alone), "--out", str(tmp_path / "runs"), *sets]) == 0
    (reset,) = (tmp_path / "runs").iterdir()
    capsys.readouterr()
    assert _run(["steps", str(reset), "--seconds", "30"]) == 0
    assert capsys.readouterr().err == ""
