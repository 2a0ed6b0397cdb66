"""Events in the months, against arithmetic by hand and the second bill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from agreement import second_bill
from scenario_cases import written

from simulator.catalog.sites import site
from simulator.errors import InputError
from simulator.run.fingerprint import fingerprint
from simulator.run.simulate import simulate
from simulator.scenario.references import references
from simulator.scenario.resolved import resolved_yaml

SCENARIO = """
schema_version: 1
name: events
model: llama-3.1-8b-instruct
engine: {max_model_len: 4096, enable_prefix_caching: false}
workload:
  classes:
    - name: chat
      arrivals: {kind: poisson, rate_rps: 4}
      lengths: {isl: 300, osl: 60}
      slo: {ttft_s: {p99: 1.0}, served: 0.98}
topologies:
  own:
    servers:
      - {name: old, site: datacentre, gpu: h100-sxm, capex_usd: 100000, install_usd: 1000, network_storage_share: 0,
         spares: 0, gpus_per_server: 8, life_years: 5, residual_share: 0.05}
    pools: [{name: base, site: datacentre, gpu: h100-sxm, billing: owned}]
  rent:
    pools:
      - {name: base, site: lambda, gpu: h100-sxm, price_usd_per_gpu_hour: 4.0, storage_gb: 0, egress_usd_per_gb: 0}
study: {months: 12, EVENTS}
cost: {draws: 20, discount_rate: 0}
run: {horizon_s: 40, warmup_s: 5, keep_requests: false}
"""
SAME = "events: [{name: none, from_month: 5, topology: own, change: {pools: [{name: base, gpu: h100-sxm}]}}]"
REFRESH = (
    "events: [{name: refresh, from_month: 7, topology: own, downtime_h: 7.3, usd_once: 5000, resale_share: 0.6, "
    "change: {pools: [{name: base, gpu: h200}], servers: [{name: new, site: datacentre, gpu: h200, capex_usd: 150000, "
    "install_usd: 2000, network_storage_share: 0, spares: 0, gpus_per_server: 8, life_years: 5}]}}]"
)


def load(tmp_path: Path, events: str = "growth_per_year: 0", *changes: str) -> Any:
    return written(tmp_path, SCENARIO.replace("EVENTS", events), *changes)


def test_an_event_that_changes_nothing_changes_no_cent(tmp_path: Path) -> None:
    plain, event = (simulate(load(tmp_path, text), tmp_path) for text in ("growth_per_year: 0", SAME))
    for name in ("own", "rent"):
        before, after = (one.summary["topologies"][name]["cost"] for one in (plain, event))
        assert after["usd_per_month"] == before["usd_per_month"]
        assert after["cash_flow_usd"] == before["cash_flow_usd"]
    months = event.decision["topologies"]["own"]["months"]
    assert [month["event"] for month in months] == [""] * 4 + ["none"] + [""] * 7
    assert {month["usd"] for month in months} == {months[0]["usd"]}


def test_a_refresh_of_owned_servers_is_purchase_and_installation_less_what_the_old_bring(tmp_path: Path) -> None:
    result = simulate(load(tmp_path, REFRESH), tmp_path)
    found, plain = (one.summary["topologies"]["own"] for one in (result, simulate(load(tmp_path), tmp_path)))
    months = result.decision["topologies"]["own"]["months"]
    paid = dict(zip(found["cost"]["at_months"], found["cost"]["cash_flow_usd"], strict=True))
    running = months[5]["paid_usd"] - (150_000 + 2_000 + 5_000 - 0.6 * 100_000)
    assert running == pytest.approx(months[4]["paid_usd"])
    assert paid[0.0] == -101_000
    study = second_bill(result.bundle, "own")
    assert -study.payments()[6.0] == pytest.approx(paid[6.0], rel=1e-9)
    assert study.npv() == pytest.approx(-found["cost"]["npv_usd"], rel=1e-9)
    rows = study.mean_lines()
    assert sum(row["usd"] for row in rows) == pytest.approx(found["cost"]["usd_per_month"], rel=1e-9)
    lost = sum(row["usd"] for row in rows if row["part"] == "sold early") * 12
    assert lost == pytest.approx(101_000 - 6 * (95_000 / 60 + 1_000 / 60) - 60_000, rel=1e-6)
    assert [month["arriving"] for month in months] == [1] + [0] * 5 + [1] + [0] * 5
    assert [month["servers"] for month in months] == [1] * 12
    tokens = found["cost"]["tokens_per_month"], plain["cost"]["tokens_per_month"]
    assert tokens[0] == pytest.approx(tokens[1] * (1 - 0.01 / 12), rel=2e-3), "a hundredth of one month of twelve"
    low, high = (found["uncertainty"]["usd_per_month"][key] for key in ("low", "high"))
    assert low < found["cost"]["usd_per_month"] < high
    assert any("from month 7: refresh, 7.3 h without service" in row["text"] for row in found["warnings"])


def test_hours_without_service_miss_the_slo_where_they_are_too_many(tmp_path: Path) -> None:
    for hours, met in ((7.3, True), (36.5, False)):
        result = simulate(load(tmp_path, REFRESH.replace("7.3", str(hours))), tmp_path)
        months = result.decision["topologies"]["own"]["months"]
        assert [month["meets"] for month in months] == [True] * 6 + [met] + [True] * 5, "served has to be 98 %"
        assert months[6]["attainment"] == pytest.approx(months[5]["attainment"] * (1 - hours / 730), rel=0.01)
        assert result.decision["topologies"]["own"]["lasts_until"] == (None if met else 6)


def test_who_leaves_a_commitment_pays_it_to_its_end(tmp_path: Path) -> None:
    pool = "topologies.rent.pools[base]"
    change = "{billing: on_demand, price_usd_per_gpu_hour: 1.0, term_months: null}"
    event = (
        f"events: [{{name: leave, from_month: 4, topology: rent, change: {{pools: [{change[:-1]}, name: base}}]}}}}]"
    )
    result = simulate(load(tmp_path, event, f"{pool}.billing=reserved", f"{pool}.term_months=9"), tmp_path)
    usd = [month["usd"] for month in result.decision["topologies"]["rent"]["months"]]
    both = [4 * 730] * 3 + [5 * 730] * 6 + [730] * 3
    assert usd == pytest.approx(both, rel=1e-6)
    study = second_bill(result.bundle, "rent")
    assert study.npv() == pytest.approx(-result.summary["topologies"]["rent"]["cost"]["npv_usd"], rel=1e-9)
    left = [line for line in study.lines(5) if line["category"] == "committed"]
    assert [line["part"] for line in left] == ["unused"]


PER_TOKEN = (
    "topologies={api: {providers: [{name: v, prices: [{input: 2.0, output: 2.0}], ttft_s: {median: 0.1}, "
    "tpot_s: {median: 0.01}, data_classes: [internal]}]}}"
)


def test_a_study_that_ends_within_a_month_counts_bill_and_tokens_of_it_alike(tmp_path: Path) -> None:
    growing = load(tmp_path, "load_steps: [{from_month: 2, load: 4.0}]", PER_TOKEN, "study.months=1.1")
    cost = simulate(growing, tmp_path).summary["topologies"]["api"]["cost"]
    assert cost["usd_per_million_tokens"] == pytest.approx(2.0)


def test_instances_under_commitment_are_those_of_whichever_terms_have_more(tmp_path: Path) -> None:
    pool = "topologies.rent.pools[base]"
    event = (
        "events: [{name: fewer, from_month: 7, topology: rent, "
        "change: {pools: [{name: base, price_usd_per_gpu_hour: 3.0, commitments: 1}]}}]"
    )
    changes = (f"{pool}.billing=reserved", f"{pool}.term_months=6", f"{pool}.commitments=3")
    cost = simulate(load(tmp_path, event, *changes), tmp_path).summary["topologies"]["rent"]["cost"]
    assert cost["committed_instances"] == {"base": 3}


def test_staff_and_fees_change_by_month_without_a_further_simulation(tmp_path: Path) -> None:
    """240,000 USD a year and FTE: 2,000 USD a month for each tenth of one."""
    staff = "topologies.rent.staff={base_fte: 0.1, usd_per_fte_year: 240000}"
    fees = "topologies.rent.fees=[{name: licence, usd_once: 1200, usd_per_month: 100}, {name: gate, usd_per_month: 7}]"
    changes = "{staff: {base_fte: 0.3}, fees: [{name: licence, usd_per_month: 40}, {name: help, usd_once: 600}]}"
    event = f"events: [{{name: more, from_month: 4, topology: rent, usd_once: 240, change: {changes}}}, "
    event += "{name: alone, from_month: 9, topology: rent, change: {fees: []}}]"
    result = simulate(load(tmp_path, event, staff, fees), tmp_path)
    found = result.decision["topologies"]["rent"]["months"]
    rent, spread = 4 * 730, (1200 + 600 + 240) / 12
    usd = [2000 + 100 + 7] * 3 + [6000 + 40 + 7] * 5 + [6000] * 4
    assert [month["usd"] for month in found] == pytest.approx([rent + spread + one for one in usd], rel=1e-6)
    paid = [month["paid_usd"] - rent for month in found]
    assert paid == pytest.approx([*usd[:2], usd[2] + 600 + 240, *usd[3:]], rel=1e-6)
    cost = result.summary["topologies"]["rent"]["cost"]
    assert cost["upfront_usd"] == 1200
    study = second_bill(result.bundle, "rent")
    assert study.npv() == pytest.approx(-cost["npv_usd"], rel=1e-9)
    assert sum(row["usd"] for row in study.mean_lines()) == pytest.approx(cost["usd_per_month"], rel=1e-9)


def test_who_gives_up_owned_servers_gives_up_their_staff(tmp_path: Path) -> None:
    leave = "[{name: base, site: lambda, billing: on_demand, price_usd_per_gpu_hour: 4.0, storage_gb: 0}]"
    event = f"events: [{{name: leave, from_month: 7, topology: own, change: {{pools: {leave}}}}}]"
    result = simulate(load(tmp_path, event), tmp_path)
    (staff,) = json.loads((result.bundle / "terms.json").read_text("utf-8"))["own"]["staff"]
    assert staff["span"] == {"first": 1, "last": 6}


def test_what_moves_is_exported_where_it_was_in_each_month(tmp_path: Path) -> None:
    """Three months at Lambda for 4 USD an hour, nine at AWS for 5, then an API too, from month 7 on."""
    moved = "{name: base, site: aws-us-east, price_usd_per_gpu_hour: 5.0, gpus_per_instance: 1}"
    api = "{name: v, offer: openai/gpt-4o-mini}"
    event = f"events: [{{name: move, from_month: 4, topology: rent, change: {{pools: [{moved}]}}}}, "
    event += f"{{name: add, from_month: 7, topology: rent, change: {{providers: [{api}], routing: {{kind: weighted, "
    event += "weights: {base: 1, v: 0.01}}}}]"
    result = simulate(load(tmp_path, event), tmp_path)
    frame = pd.read_csv(result.bundle / "costs_focus.csv")
    rent = frame[(frame["SubAccountId"] == "rent") & (frame["ServiceName"] == "on demand")]
    by_provider = rent.groupby("ProviderName")["EffectiveCost"].sum().to_dict()
    assert by_provider == pytest.approx({site("lambda").title: 730.0, site("aws-us-east").title: 2737.5}, abs=0.02)
    assert "OpenAI" in set(frame[frame["ResourceId"] == "v"]["ProviderName"])
    whole = result.summary["topologies"]["rent"]["cost"]["usd_per_month"]
    assert frame[frame["SubAccountId"] == "rent"]["EffectiveCost"].sum() == pytest.approx(whole, abs=0.01)


def test_prices_of_an_api_change_by_month_without_a_further_simulation(tmp_path: Path) -> None:
    prices = "[{input: 1.0, output: 1.0}]"
    event = (
        f"events: [{{name: cut, from_month: 7, topology: api, change: {{providers: [{{name: v, prices: {prices}}}]}}}}]"
    )
    usd = [
        month["usd"]
        for month in simulate(load(tmp_path, event, PER_TOKEN), tmp_path).decision["topologies"]["api"]["months"]
    ]
    assert usd[:6] == pytest.approx([usd[0]] * 6)
    assert usd[6:] == pytest.approx([usd[0] / 2] * 6)


def test_another_gpu_is_sized_anew(tmp_path: Path) -> None:
    event = "events: [{name: l40s, from_month: 7, topology: rent, change: {pools: [{name: base, gpu: l40s}]}}]"
    changes = ("topologies.rent.pools[base].replicas=auto", "workload.classes[chat].arrivals.rate_rps=60")
    months = simulate(load(tmp_path, event, *changes), tmp_path).decision["topologies"]["rent"]["months"]
    sizes = [month["replicas"] for month in months]
    assert sizes[:6] == sizes[:1] * 6
    assert sizes[6:] == sizes[6:7] * 6
    assert sizes[6] > sizes[0], "a slower GPU takes more replicas"
    assert all(month["meets"] for month in months)


@pytest.mark.parametrize(
    ("event", "where", "words"),
    [
        ("from_month: 13, topology: own, change: {pools: []}", "from_month", "ends with month 12"),
        ("from_month: 1, topology: own, change: {routing: {}}", "from_month", "greater than or equal to 2"),
        ("from_month: 5, topology: nobody, change: {routing: {}}", "topology", "unknown topology"),
        ("from_month: 5, topology: own, change: {}", "change", "say what changes"),
        (
            "from_month: 5, topology: own, change: {fees: [{name: x, usd_per_day: 1}]}",
            "change.fees[0].usd_per_day",
            "unknown key",
        ),
        ("from_month: 5, topology: own, change: {staff: {base_fte: -1}}", "change.staff.base_fte", "greater than"),
        ("from_month: 5, topology: own, change: {pools: [{name: base, gpus: 3}]}", "change.pools[0].gpus", "gpus"),
        ("from_month: 5, topology: own, change: {pools: [{name: base, gpu: h999}]}", "change.pools[0].gpu", "h999"),
        (
            "from_month: 5, topology: own, change: {pools: [{name: base, site: aws-us-east}]}",
            "change.pools[0]",
            "billing: aws-us-east rents out",
        ),
        (
            "from_month: 5, topology: own, change: {pools: [{name: bsae, gpu: h200}]}",
            "change.pools[0]",
            "unknown pool 'bsae'",
        ),
        (
            "from_month: 5, topology: own, change: {servers: [{name: odl, spares: 1}]}",
            "change.servers[0]",
            "did you mean 'old'?",
        ),
        ("from_month: 5, topology: own, change: {pools: [3]}", "change.pools[0]", "must be a mapping"),
        ("from_month: 5, topology: own, change: {pools: [{gpu: h200}]}", "change.pools[0]", "'name' is missing"),
        (
            "from_month: 5, topology: rent, change: {pools: [{name: base, commitments: 2}]}",
            "change.pools[0].commitments",
            "needs billing",
        ),
        (
            "from_month: 5, topology: rent, change: {pools: [{name: base, billing: reserved}]}",
            "change.pools[0].billing",
            "'term_months' is missing",
        ),
        (
            "from_month: 5, topology: rent, change: {routing: {kind: windows, windows: [{time_zone: Europe/Berlin, "
            "use: [base]}]}}",
            "change.routing.windows[0].time_zone",
            "needs a run that begins on a date",
        ),
    ],
)
def test_what_cannot_be_is_refused_at_its_place(tmp_path: Path, event: str, where: str, words: str) -> None:
    with pytest.raises(InputError) as raised:
        simulate(load(tmp_path, f"events: [{{name: x, {event}}}]"), tmp_path)
    problem = raised.value.problems[0]
    assert problem.path == f"study.events[0].{where}"
    assert words in str(problem)
    assert problem.line is not None


@pytest.mark.parametrize("key", ["gpus: 3", "gpu: h999"])
def test_a_problem_of_a_change_points_at_the_line_and_the_column_of_its_key(tmp_path: Path, key: str) -> None:
    """The pool is the second of its topology, and the first of the change."""
    events = f"events: [{{name: x, from_month: 5, topology: two, change: {{pools: [{{name: b, {key}}}]}}}}]"
    pools = ", ".join(f"{{name: {name}, site: lambda, gpu: h100-sxm}}" for name in "ab")
    with pytest.raises(InputError) as raised:
        simulate(load(tmp_path, events, f"topologies.two={{pools: [{pools}]}}"), tmp_path)
    (problem,) = raised.value.problems
    assert problem.line is not None
    assert problem.column is not None
    line = (tmp_path / "scenario.yaml").read_text().splitlines()[problem.line - 1]
    assert line[problem.column - 1 :].startswith(key.split(": ")[1])
    assert problem.path == f"study.events[0].change.pools[0].{key.split(':')[0]}"


def test_a_change_that_is_none_is_told_once_at_the_first_event_that_has_it(tmp_path: Path) -> None:
    first = "{name: b, from_month: 8, topology: own, change: {pools: [{name: base, gpu: h200}]}}"
    broken = "{name: a, from_month: 3, topology: own, change: {pools: [{name: base, gpus: 3}]}}"
    with pytest.raises(InputError) as raised:
        load(tmp_path, f"events: [{first}, {broken}]")
    assert [problem.path for problem in raised.value.problems] == ["study.events[1].change.pools[0].gpus"]


def test_files_that_a_change_names_are_copied_and_hashed_like_all_others(tmp_path: Path) -> None:
    """Found by the content that a later month depends on: another model is another result."""
    event = (
        "events: [{name: x, from_month: 5, topology: rent, change: {pools: [{name: base, model: later/config.json}]}}]"
    )
    (tmp_path / "later").mkdir()
    config = tmp_path / "later" / "config.json"
    marks = []
    for text in ("{}", "{ }"):
        config.write_text(text)
        loaded = load(tmp_path, event)
        (file,) = references(loaded)
        assert (file.path, file.copy) == ("study.events[0].change.pools[0].model", "models/later/config.json")
        assert "models/later/config.json" in resolved_yaml(loaded, [file])
        marks.append(fingerprint(loaded, [file]))
    assert marks[0] != marks[1]
