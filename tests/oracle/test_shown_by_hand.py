"""What is shown of a value, and what of an SLO is held: by hand, from nothing of the code that shows and holds."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from scenario_cases import chat, written

from simulator import load_scenario, simulate
from simulator.figures.table import FIGURES, figure, met_words
from simulator.report import paired
from simulator.report.paired import PairedFigure, differences_to
from simulator.report.pareto import _missed, cheapest_points, frontier, point, sweep_points
from simulator.run.summary import _unserved
from simulator.simulate.demand import class_slos

LATENCIES = [f"{metric}_{share}_s" for metric in ("ttft", "tpot", "e2e") for share in ("p50", "p90", "p95", "p99")]


@pytest.mark.parametrize("name", LATENCIES)
def test_latencies_in_seconds_are_shown_in_milliseconds(name: str) -> None:
    digits = "1,250.4" if name.startswith("tpot") else "1,250"
    assert (figure(name).unit, figure(name).text(1.2504)) == ("ms", digits)
    assert figure(name).span(0.25, 1.5) == ("250.0 to 1,500.0" if name.startswith("tpot") else "250 to 1,500")


@pytest.mark.parametrize(
    ("name", "value", "unit", "shown"),
    [
        ("slo_attainment", 0.98765, "", "98.77%"),
        ("served_share", 0.5, "", "50.00%"),
        ("goodput_rps", 12.345, "requests/s", "12.35"),
        ("output_tokens_per_s", 1234.4, "tokens/s", "1,234"),
        ("capacity_used_share", 0.756, "", "76%"),
        ("unused_share", 0.756, "", "76%"),
        ("cached_share", 0.33181, "", "33.2%"),
        ("overflow_share", 0.0126, "", "1.3%"),
        ("escalated_share", 0.0126, "", "1.3%"),
        ("usd_per_million_tokens", 0.4567, "", "0.457"),
        ("usd_per_million_output_tokens", 1.7006, "", "1.701"),
        ("kwh_per_million_tokens", 0.1004, "kWh per 1M tokens", "0.100"),
        ("usd_per_month", 69843.2, "", "69,843"),
        ("job_s", 5400.0, "", "1.5 h"),
        ("job_s", 3.12, "", "3.12 s"),
        ("probability_cheapest", 0.25, "", "25%"),
    ],
)
def test_a_figure_is_shown_in_its_unit(name: str, value: float, unit: str, shown: str) -> None:
    assert (figure(name).unit, figure(name).text(value)) == (unit, shown)


def test_no_figure_is_shown_in_another_scale_than_its_unit() -> None:
    scales = {"ms": 1e3}
    assert {name: one.factor for name, one in FIGURES.items() if one.factor != scales.get(one.unit, 1.0)} == {}


def test_differences_are_in_the_unit_that_their_words_say() -> None:
    scales = {"points": 100.0, "ms": 1e3, "requests/s": 1.0}
    for name in paired.FIGURES:
        words, factor, _ = paired.shown_as(name)
        unit = words[words.index("[") + 1 : -1] if "[" in words else ""
        assert factor == scales.get(unit, 1.0), name
    assert [name for name in paired.FIGURES if "[points]" in paired.shown_as(name)[0]] == ["slo_attainment"]


REPLICATIONS = {
    "own": [{"usd_per_month": 100.0, "slo_attainment": 0.98, "ttft_p99_s": 0.2, "goodput_rps": 4.0}] * 2,
    "rent": [
        {"usd_per_month": 105.0, "slo_attainment": 0.97, "ttft_p99_s": 0.3, "goodput_rps": 4.0},
        {"usd_per_month": 107.0, "slo_attainment": 0.99, "ttft_p99_s": 0.5, "goodput_rps": 4.0},
    ],
}
T_OF_TWO = 12.7062
"""Student's t of 95 % with one degree of freedom: a half-width is t times half the distance of the two."""


def test_differences_have_their_mean_and_half_width_in_the_unit_of_the_words() -> None:
    nothing = dict.fromkeys(paired.FIGURES)
    usd = {"own": 100.4, "rent": 106.4}
    topologies = {
        name: {"replications": [nothing | one for one in each], "cost": {"usd_per_month": usd[name]}}
        for name, each in REPLICATIONS.items()
    }
    found = {one.figure: one for one in paired.paired(topologies, "own")}
    shown = {name: (one.mean, one.half_width, one.base) for name, one in found.items()}
    assert shown == {
        "usd_per_month": (pytest.approx(6.0), pytest.approx(T_OF_TWO * 1.0, rel=1e-4), 100.0),
        "slo_attainment": (pytest.approx(0.0), pytest.approx(T_OF_TWO * 1.0, rel=1e-4), pytest.approx(98.0)),
        "ttft_p99_s": (pytest.approx(200.0), pytest.approx(T_OF_TWO * 100.0, rel=1e-4), pytest.approx(200.0)),
        "goodput_rps": (0.0, 0.0, 4.0),
    }
    assert all(one.topology == "rent" for one in found.values())
    rows, headers = differences_to(topologies, "own")
    assert headers == ["", "rent"]
    assert [cell for _, cell in rows][:3] == ["+6.00 ± 12.71", "+0.00 ± 12.71", "+0.00 ± 0.00"]
    assert [cell for _, cell in rows if "200" in cell] == ["+200 ± 1,271"]
    topologies["rent"]["cost"]["usd_per_month"] = 106.5
    assert differences_to(topologies, "own")[0][0][1] == "+6.00 ± 12.71", "106 and 100 are shown"
    topologies["rent"]["cost"]["usd_per_month"] = 106.6
    assert differences_to(topologies, "own")[0][0][1] == "+7.00 ± 12.71", "107 and 100 are shown"


@pytest.mark.parametrize(
    ("mean", "half", "sure"), [(2.0, 1.0, True), (-2.0, 1.0, True), (1.0, 1.0, False), (0.5, 1.0, False)]
)
def test_a_difference_is_sure_where_its_interval_leaves_zero_out(mean: float, half: float, sure: bool) -> None:
    assert PairedFigure("rent", "usd_per_month", "$", mean, half, 100.0).is_sure == sure
    assert not PairedFigure("rent", "usd_per_month", "$", mean, float("nan"), 100.0).is_sure


def test_a_topology_is_a_point_with_its_own_figures() -> None:
    seconds = {f"{metric}_s": {"p95": 0.5 + k, "p99": 0.75 + k} for k, metric in enumerate(("ttft", "tpot", "e2e"))}
    summary = {"metrics": {"slo_met": True, "slo_attainment": 0.98, **seconds}, "cost": {"usd_per_month": 7.0}}
    found = point("run", "own", summary)
    assert found.pop("missed_share") == pytest.approx(0.02)
    assert (found.pop("chance"), found.pop("usd_by_replication")) == (None, [])
    assert found == {
        "point": "run/own",
        "run": "run",
        "topology": "own",
        "usd_per_month": 7.0,
        "slo_met": True,
        "ttft_p95_s": 0.5,
        "ttft_p99_s": 0.75,
        "tpot_p95_s": 1.5,
        "tpot_p99_s": 1.75,
        "e2e_p95_s": 2.5,
        "e2e_p99_s": 2.75,
    }
    assert point("", "own", summary)["point"] == "own"


def test_no_point_of_the_frontier_is_beaten() -> None:
    points = [
        {"point": name, "usd_per_month": usd, "ttft_p99_s": seconds, "slo_met": met, "missed_share": 0.0}
        for name, usd, seconds, met in (
            *(("dear", 9.0, 0.1, True), ("cheap", 1.0, 0.9, False), ("beaten", 5.0, 0.5, True)),
            *(("middle", 4.0, 0.5, True), ("equal", 4.0, 0.5, True), ("unknown", 2.0, None, True)),
            ("unpriced", None, 0.05, True),
        )
    ]
    assert [one["point"] for one in frontier(points, "ttft_p99_s")] == ["cheap", "middle", "dear"]
    (cheapest,) = cheapest_points(points)
    assert cheapest["point"] == "unknown", "of those that meet the SLO"
    assert cheapest_points([points[1], points[-1]]) == []


def test_points_of_a_sweep_that_differ_by_less_than_luck_share_the_place() -> None:
    """Of 400 requests at random times with equal tokens 1.96 / 20 = 9.8 % of what goes with them is chance."""
    shares = {"shared": 1 / 400, "at_ends": 0.0, "routed": 0.0}
    rows = [
        {"point": k, "status": "ok", "topology": "api", "seed": k, "usd_per_month": usd, "slo_met": True}
        | {f"{metric}_{share}_s": 1.0 for metric in ("ttft", "tpot", "e2e") for share in ("p95", "p99")}
        | {"slo_attainment": 1.0, "chance_usd": part * usd}
        | {f"chance_{name}": value for name, value in shares.items()}
        for k, (usd, part) in enumerate([(1_000.0, 0.0), (1_080.0, 1.0), (1_120.0, 1.0)])
    ]
    found = cheapest_points(sweep_points("s", pd.DataFrame(rows), ["seed"]))
    assert [one["usd_per_month"] for one in found] == [1_000.0, 1_080.0]
    rows = [{name: value for name, value in row.items() if not name.startswith("chance")} for row in rows]
    assert len(cheapest_points(sweep_points("s", pd.DataFrame(rows), ["seed"]))) == 1, "of a table without chance"


def test_points_of_several_replications_share_the_place_where_their_paired_bills_do(tmp_path: Path) -> None:
    """Each replication of the second is 10, -5 and 4 dollars dearer, 3 ± 19; of the third 19 to 21, 20 ± 2.5."""
    bills = [(1_000.0, 1_100.0, 900.0), (1_010.0, 1_095.0, 904.0), (1_020.0, 1_121.0, 919.0), None]
    rows = [
        {"point": k, "status": "ok", "topology": "api", "seed": k, "usd_per_month": usd, "slo_met": True}
        | {f"{metric}_{share}_s": 1.0 for metric in ("ttft", "tpot", "e2e") for share in ("p95", "p99")}
        | {"slo_attainment": 1.0, "usd_by_replication": each}
        for k, (usd, each) in enumerate(zip((1_000.0, 1_003.0, 1_020.0, 1_001.0), bills, strict=True))
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "sweep.parquet")
    found = cheapest_points(sweep_points("s", pd.read_parquet(tmp_path / "sweep.parquet"), ["seed"]))
    assert [one["usd_per_month"] for one in found] == [1_000.0, 1_003.0]


def test_what_misses_the_slo_is_what_does_not_attain_it() -> None:
    assert _missed(0.98) == pytest.approx(0.02)


def test_the_slo_is_met_in_words() -> None:
    assert [met_words(met) for met in (True, False, None)] == ["yes", "no", "not known"]


@pytest.mark.parametrize("metric", ["ttft_s", "tpot_s", "e2e_s"])
@pytest.mark.parametrize("share", ["p50", "p90", "p95", "p99"])
def test_each_term_of_an_slo_is_held(tmp_path: Path, metric: str, share: str) -> None:
    text = chat("one: {pools: [{name: p, site: lambda, gpu: h100-sxm}]}", study="")
    given = next(line for line in text.splitlines() if line.strip().startswith("slo:"))
    loaded = written(tmp_path, text.replace(given, f"      slo: {{{metric}: {{{share}: 0.25}}}}"))
    ((term,),) = (slo.terms for slo in class_slos(loaded))
    assert (term.metric, term.quantile, term.limit_s) == (metric, int(share[1:]) / 100, 0.25)


def test_counts_of_requests_are_grouped_by_thousands() -> None:
    metrics = {"arrived": 68_650, "statuses": {"failed": 4_100}, "reasons": {"failed": {"outage": 4_100}}}
    assert _unserved(metrics, "failed") == ["4,100 of 68,650 requests failed (outage)"]


def test_what_was_rejected_is_told_by_class_with_its_reason_and_limit(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(
        "arrival_s,input_tokens,output_tokens,class\n"
        + "".join(f"{k},{9000 if k % 3 == 0 else 300},50,{'chat' if k % 2 else 'code'}\n" for k in range(24))
    )
    classes = [
        {"name": name, "arrivals": {"kind": "trace", "file": str(tmp_path / "log.csv")}}
        for name in ("chat", "code", "idle")
    ]
    classes[2] = {"name": "idle", "arrivals": {"kind": "poisson", "rate_rps": 1.0}, "lengths": {"isl": 9, "osl": 9}}
    pools = [{"name": "p", "site": "datacentre", "gpu": "h100-sxm", "billing": "owned"}]
    scenario = {
        "schema_version": 1,
        "name": "log",
        "model": "llama-3.1-8b-instruct",
        "engine": {"max_model_len": 8192},
        "workload": {"classes": classes},
        "topologies": {"one": {"pools": pools}},
        "cost": {"draws": 0},
        "run": {"horizon_s": 30, "warmup_s": 0},
    }
    (summary,) = simulate(load_scenario(scenario), out=None).summary["topologies"].values()
    told = [each["text"] for each in summary["warnings"] if "rejected" in each["text"]]
    arrived = summary["metrics"]["arrived"]
    assert told == [
        f"8 of {arrived} requests rejected (too long): chat 4 of 12 (too long), code 4 of 12 (too long)",
        "rejected (too long): of prompt and answer together, in tokens, p at most 8,192 (max_model_len)",
    ]


def test_the_limits_behind_full_queues_and_rate_limits_are_told_with_their_keys(tmp_path: Path) -> None:
    """40 requests at once: two wait for the pool, before any step. At 80 a minute an API that takes 12 has none left
    when they come, the next in five seconds, for which nobody waits."""
    log = "arrival_s,input_tokens,output_tokens,class\n" + "".join(
        f"0,64,40,{'a' if k % 2 else 'b'}\n" for k in range(40)
    )
    (tmp_path / "log.csv").write_text(log)
    arrivals = {"kind": "trace", "file": str(tmp_path / "log.csv")}
    pool = {"name": "p", "site": "datacentre", "gpu": "h100-sxm", "billing": "owned", "max_waiting_per_replica": 2}
    api = {
        "name": "far",
        "prices": [{"input": 1, "output": 1}],
        "ttft_s": {"median": 0.5},
        "tpot_s": {"median": 0.01},
        "data_classes": ["internal"],
        "requests_per_minute": 12,
        "tokens_per_minute": 4e6,
        "max_wait_s": 4.5,
    }
    scenario = {
        "schema_version": 1,
        "name": "full",
        "model": "llama-3.1-8b-instruct",
        "engine": {"max_model_len": 8192, "max_num_seqs": 1},
        "workload": {"classes": [{"name": name, "arrivals": arrivals, "max_retries": 0} for name in ("a", "b")]},
        "topologies": {"own": {"pools": [pool]}, "api": {"providers": [api]}},
        "cost": {"draws": 0},
        "run": {"horizon_s": 30, "warmup_s": 0},
    }
    found = simulate(load_scenario(scenario), out=None).summary["topologies"]
    told = {
        name: [each["text"] for each in summary["warnings"] if each["text"].startswith("rejected")]
        for name, summary in found.items()
    }
    assert told == {
        "own": ["rejected (queue full): of requests that wait at each replica, p at most 2 (max_waiting_per_replica)"],
        "api": [
            "rejected (rate limit): far takes 12 requests, 4,000,000 tokens a minute, and no call waits longer than "
            "4.5 s for it (max_wait_s)"
        ],
    }
    assert found["own"]["metrics"]["reasons"] == {"rejected": {"queue_full": 38}}
    assert found["api"]["metrics"]["reasons"] == {"rejected": {"rate_limit": 40}}


@pytest.mark.parametrize(("others", "cheapest"), [("weights 0.5 0.5", 1), ("weights 0.4 0.6", 2), (None, 2)])
def test_points_of_the_same_draws_are_told_apart_by_less(others: str | None, cheapest: int) -> None:
    """Draws alone move each bill by 1 %: $1,000 and $1,020 by 0.02 % of them together, by 2.8 % where they differ."""
    rows = [
        {"point": k, "seed": k, "topology": "a", "status": "ok", "slo_met": True, "usd_per_month": usd}
        | {f"{metric}_{share}_s": 1.0 for metric in ("ttft", "tpot", "e2e") for share in ("p95", "p99")}
        | {"slo_attainment": 1.0, "chance_usd": usd, "chance_shared": 0.0, "chance_at_ends": 0.0}
        | {"chance_routed": 0.01, "chance_drawn_by": drawn_by, "chance_by_draw": [0.008, -0.006]}
        for k, (usd, drawn_by) in enumerate([(1000.0, "weights 0.5 0.5"), (1020.0, others)])
    ]
    assert len(cheapest_points(sweep_points("s", pd.DataFrame(rows), ["seed"]))) == cheapest
