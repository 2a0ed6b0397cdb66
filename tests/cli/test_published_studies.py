"""Published cost studies as scenarios: the command line gives what follows from each study's own inputs.

Right values are those of `tests/data/published_tco/cases.yaml`; a scenario of the same name stands beside it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from simulator.cli.main import _run

DATA = Path(__file__).parents[1] / "data" / "published_tco"
CASES: dict[str, dict[str, Any]] = {
    case["id"]: case for case in yaml.safe_load((DATA / "cases.yaml").read_text(encoding="utf-8"))
}
HOURS = 730.0

Capture = pytest.CaptureFixture[str]


def ran(name: str, out: Path, *options: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Topologies of `servecast run`, and what `decision.json` says of them."""
    assert _run(["run", str(DATA / f"{name}.yaml"), "--out", str(out), "--no-advice", "--quiet", *options]) == 0
    (bundle,) = out.iterdir()
    summary, decision = (json.loads((bundle / file).read_text()) for file in ("summary.json", "decision.json"))
    return summary["topologies"], decision["topologies"]


def pair(decision: dict[str, Any], name: str, rival: str) -> dict[str, Any]:
    (found,) = (one for one in decision[name]["break_even"] if one["rival"] == rival)
    return dict(found)


def test_an_h100_server_against_four_prices_of_rent(tmp_path: Path, capsys: Capture) -> None:
    right = CASES["lp2368-h100"]["right"]
    topologies, decision = ran("lp2368-h100", tmp_path)
    owned = topologies["owned"]["cost"]
    assert owned["usd_per_month"] == pytest.approx(right["owned_usd_per_month"], rel=0.001)
    assert owned["usd_per_million_output_tokens"] == pytest.approx(
        right["owned_usd_per_million_output_tokens"], rel=0.001
    )
    assert topologies["on_demand"]["cost"]["usd_per_million_output_tokens"] == pytest.approx(
        right["on_demand_usd_per_million_output_tokens"], rel=0.001
    )
    for name, months in right["break_even_months"].items():
        found = pair(decision, "owned", name)["months"]
        assert found == pytest.approx(months, rel=0.001)
        assert found * HOURS == pytest.approx(right["break_even_hours"][name], rel=0.001)
    shown = capsys.readouterr().out
    assert "9.31" in shown
    assert "0.893" in shown
    for moves_nothing in ("power.pue", "onprem.fte_cost", "power.host_kw", "egress.bytes_per_output_token"):
        assert moves_nothing not in shown


@pytest.mark.parametrize("rate_rps", ["30", "0.5"])
def test_hours_of_rent_a_day_do_not_depend_on_the_load(rate_rps: str, tmp_path: Path, capsys: Capture) -> None:
    right = CASES["lp2368-h200-hours"]["right"]
    rate = f"workload.classes[0].arrivals.rate_rps={rate_rps}"
    topologies, decision = ran("lp2368-h200-hours", tmp_path, "--set", rate)
    hours = pair(decision, "owned", "rented")["hours_per_day"]
    assert hours == pytest.approx(right["hours_of_rent_per_day"], rel=0.005)
    assert hours / 24 == pytest.approx(right["share_of_hours"], rel=0.005)
    cost = topologies["owned"]["cost"]
    assert sum(cost["cash_flow_usd"]) == pytest.approx(-right["owned_usd_five_years"], abs=0.01)
    assert cost["usd_per_month"] == pytest.approx(11_048, abs=1)
    assert topologies["rented"]["cost"]["usd_per_month"] == pytest.approx(61_911, abs=1)
    assert "above 4.28" in capsys.readouterr().out


@pytest.mark.parametrize("rate_rps", [1, 5, 10])
def test_a_rented_gpu_costs_what_was_measured_per_output_token(rate_rps: int, tmp_path: Path) -> None:
    """Arrivals are even, so that the cost is that of the rate; runs of the source end after their last answer."""
    rate = f"workload.classes[0].arrivals.rate_rps={rate_rps}"
    topologies, _ = ran("cost-meter-8b", tmp_path, "--set", rate, "--set", "workload.classes[0].arrivals.cv=0.01")
    for name, card in zip(("h100", "a100"), CASES["cost-meter-8b"]["measured"], strict=True):
        found = topologies[name]["cost"]["usd_per_million_output_tokens"]
        steady = card["usd_per_hour"] / (rate_rps * 256 * 0.0036)
        assert found == pytest.approx(steady, rel=0.02)
        (row,) = (row for row in card["rows"] if row["rate_rps"] == rate_rps)
        if row["output_tokens_per_s"] > 0.95 * rate_rps * 256:
            assert found == pytest.approx(row["usd_per_million_output_tokens"], rel=0.05)


def test_above_saturation_the_cost_per_token_stays(tmp_path: Path) -> None:
    found = []
    for k, rate_rps in enumerate((100, 200)):
        rate, times = (
            f"workload.classes[0].arrivals.rate_rps={rate_rps}",
            "run={horizon_s: 90, warmup_s: 30, drain_s: 0}",
        )
        topologies, _ = ran("cost-meter-8b", tmp_path / str(k), "--set", rate, "--set", times)
        found.append([topologies[name]["cost"]["usd_per_million_output_tokens"] for name in ("h100", "a100")])
    assert found[0] == pytest.approx(found[1], rel=0.03)
    measured = [card["rows"][-1]["usd_per_million_output_tokens"] for card in CASES["cost-meter-8b"]["measured"]]
    assert found[1] == pytest.approx(measured, rel=0.25), "within the error of the throughput"


@pytest.mark.exhaustive
def test_where_a_rented_gpu_beats_the_batch_api(tmp_path: Path, capsys: Capture) -> None:
    case = CASES["aibrix-batch"]
    right, around = case["right"], case["right"]["rented_around_the_clock"]
    topologies, decision = ran("aibrix-batch", tmp_path, "--explore-s", "600")
    h100, api, cheap = (topologies[name]["cost"] for name in ("h100", "claude-haiku-4-5", "deepseek-v4-flash"))
    assert h100["usd_per_month"] == pytest.approx(around["usd_per_month"], rel=0.001)
    at_90 = right["usd_per_million_tokens_at_90_percent"]["h100"]
    assert h100["usd_per_million_tokens"] == pytest.approx(at_90, rel=0.005)
    tokens = right["job_tokens_million"]
    assert api["usd_per_million_tokens"] * tokens == pytest.approx(right["job_usd_api"], rel=0.001)
    assert cheap["usd_per_million_tokens"] * tokens == pytest.approx(right["job_usd_api_cheap"], rel=0.002)
    volume = pair(decision, "h100", "claude-haiku-4-5")["volume"]
    assert volume["side"] == "above"
    million = volume["tokens_per_month"] / 1e6
    assert million == pytest.approx(around["break_even_million_tokens_per_month"], rel=0.005)
    per_month = case["given"]["rented"]["tokens_per_s"] * HOURS * 3600 / 1e6
    assert million / per_month == pytest.approx(around["break_even_utilisation"], rel=0.005)
    assert "tokens a month" in capsys.readouterr().out


def test_a_finite_job_of_20000_requests(tmp_path: Path, capsys: Capture) -> None:
    right = CASES["aibrix-batch"]["right"]
    topologies, _ = ran("aibrix-job", tmp_path)
    h100, api, cheap = (topologies[name]["cost"]["job"] for name in ("h100", "claude-haiku-4-5", "deepseek-v4-flash"))
    assert h100["job_s"] / 60 == pytest.approx(right["job_minutes"], rel=0.005)
    assert h100["usd_per_job"] == pytest.approx(right["job_usd_rented"], rel=0.005)
    assert api["usd_per_job"] == pytest.approx(right["job_usd_api"], rel=0.005)
    assert cheap["usd_per_job"] == pytest.approx(right["job_usd_api_cheap"], rel=0.005)
    assert "$ per job" in capsys.readouterr().out


def test_months_until_one_a100_at_work_in_office_hours_has_paid_for_itself(tmp_path: Path) -> None:
    right = CASES["pan-llama70b"]["right"]
    topologies, decision = ran("pan-llama70b", tmp_path)
    owned = topologies["owned"]["cost"]
    assert owned["capex_usd"] == right["capex_usd"]
    assert -owned["cash_flow_usd"][1] == pytest.approx(right["electricity_usd_per_month"], rel=0.005)
    assert owned["tokens_per_month"] / 1e6 == pytest.approx(right["tokens_million_per_month"], rel=0.005)
    for name, usd in right["api_usd_per_month"].items():
        assert topologies[name]["cost"]["usd_per_month"] == pytest.approx(usd, rel=0.005)
        assert pair(decision, "owned", name)["months"] == pytest.approx(right["break_even_months"][name], rel=0.005)


@pytest.mark.exhaustive
def test_where_one_a100_with_overhead_breaks_even_with_an_api(tmp_path: Path) -> None:
    """1.19 USD/h x 730 h x 1.15 against 0.6875 USD per million tokens, of which three quarters are input."""
    topologies, decision = ran("one-a100", tmp_path, "--explore-s", "600")
    assert topologies["a100"]["cost"]["usd_per_month"] == pytest.approx(1.19 * HOURS * 1.15)
    volume = pair(decision, "a100", "api")["volume"]
    assert volume["side"] == "above"
    assert volume["tokens_per_month"] / 1e6 == pytest.approx(1.19 * HOURS * 1.15 / 0.6875, rel=0.005)


def test_a_gpu_that_is_busy_a_tenth_of_the_time_costs_ten_times_as_much_per_token(tmp_path: Path) -> None:
    topologies, _ = ran("tenth-busy", tmp_path)
    found = topologies["busy"]["cost"]["usd_per_million_output_tokens"]
    assert found == pytest.approx(10 * 2.5 / (700 * 0.0036), rel=0.005)


def test_a_rack_of_72_costs_what_it_has_to_earn_by_the_gpu_hour(tmp_path: Path) -> None:
    """5,000,000 / 3 years, and a fifth more, over 72 * 8,760 hours: 3.171 USD, published as 3.2."""
    topologies, _ = ran("gb200-rack", tmp_path)
    cost = topologies["rack"]["cost"]
    assert cost["capex_usd"] == 5_000_000, "18 replicas of 4 GPUs stand on one server"
    assert cost["usd_per_month"] / (72 * HOURS) == pytest.approx(1.2 * 5_000_000 / 3 / (72 * 8_760), rel=1e-6)
    assert cost["usd_per_month"] / (72 * HOURS) == pytest.approx(3.2, rel=0.01)


def test_a_set_up_pays_off_in_the_month_that_follows_from_its_inputs(tmp_path: Path) -> None:
    """22,500 once / (40,000 - 10,000 - 4,500) a month; the source's own formula, whose comment says about 1.5."""
    topologies, decision = ran("setup", tmp_path)
    assert topologies["self"]["cost"]["usd_per_month"] == pytest.approx(10_000 + 4_500 + 22_500 / 12)
    assert pair(decision, "self", "api")["months"] == pytest.approx(22_500 / 25_500, abs=1e-6)


def test_provisioned_units_by_the_hour_and_for_a_year_against_tokens(tmp_path: Path) -> None:
    """60 M at 2.50 and 40 M at 10 make 550 USD; a unit is 29,200 a month, two years of it in a study of 18 months."""
    topologies, _ = ran("units", tmp_path)
    assert topologies["by-token"]["cost"]["usd_per_month"] == pytest.approx(550, rel=0.002)
    assert topologies["by-hour"]["cost"]["usd_per_month"] == pytest.approx(29_200)
    year = topologies["for-a-year"]["cost"]
    assert year["usd_per_month"] == pytest.approx(29_200 * 24 / 18)
    assert (year["liability_usd"], topologies["by-hour"]["cost"]["liability_usd"]) == pytest.approx((29_200 * 6, 0))


def test_hardware_that_is_there_already_is_paid_at_its_book_value(tmp_path: Path) -> None:
    """12,000 / 24 a month, then 30,000 / 60 for its successor; from month 7 on 30,000 / 60 for a second server."""
    topologies, _ = ran("bought-before", tmp_path)
    cost = topologies["own"]["cost"]
    assert cost["usd_per_month"] == pytest.approx((36 * 500 + 30 * 500) / 36)
    paid = {at: -usd for at, usd in zip(cost["at_months"], cost["cash_flow_usd"], strict=True) if abs(usd) > 1}
    assert paid == pytest.approx({0.0: 12_000, 6.0: 30_000, 24.0: 30_000})


def test_units_of_throughput_count_answers_and_cached_prompts_by_their_weights(tmp_path: Path) -> None:
    """360,000 and, half of each prompt cached, 260,000 weighted tokens a minute: 105.88 and 76.47 units of 3,400."""
    topologies, _ = ran("ptu-weights", tmp_path)
    for name, needed, bought in (("uncached", 105.88, 110), ("cached", 76.47, 80)):
        assert topologies[name]["metrics"]["slo_met"], name
        assert topologies[name]["cost"]["usd_per_month"] == pytest.approx(bought * HOURS)
        assert topologies[name]["cost"]["unused_share"] == pytest.approx(1 - needed / bought, abs=1e-3)
    fewer = [
        f"topologies.{name}.providers[api].provisioned_units={units}"
        for name, units in (("uncached", 102), ("cached", 73))
    ]
    sets = [option for one in fewer for option in ("--set", one)]
    topologies, _ = ran("ptu-weights", tmp_path / "fewer", *sets)
    assert not any(topology["metrics"]["slo_met"] for topology in topologies.values())
    assert [topology["cost"]["unused_share"] for topology in topologies.values()] == pytest.approx([0, 0], abs=0.02)


def test_64_accelerators_against_rent_for_seven_tenths_of_the_time(tmp_path: Path) -> None:
    """Break-even at 59 % of the hours, payback in 3.2 years, as published.

    The published NPV of -9,436 USD at 10 % has what is saved at the ends of the years; at the ends of the months it is
    76,620 USD, so buying pays after all.
    """
    _, decision = ran("accelerator-roi", tmp_path)
    four_years, hours = 1_920_000 + 4 * 182_170, 64 * 4 * 8_760
    assert pair(decision, "own", "rent")["hours_per_day"] / 24 == pytest.approx(four_years / (hours * 2), rel=1e-4)
    saved = hours * 0.7 * 2 / 48 - 182_170 / 12
    assert pair(decision, "own", "rent-for-70-percent")["months"] == pytest.approx(1_920_000 / saved, rel=1e-4)
    assert 1_920_000 / saved / 12 == pytest.approx(3.2, abs=0.05)
    topologies, decision = ran("accelerator-roi", tmp_path / "discounted", "--set", "cost.discount_rate=0.1")
    own, rent = (topologies[name]["cost"]["npv_usd"] for name in ("own", "rent-for-70-percent"))
    by_year = sum(12 * saved * 1.1**-year for year in (1, 2, 3, 4)) - 1_920_000
    by_month = sum(saved * 1.1 ** (-month / 12) for month in range(1, 49)) - 1_920_000
    assert by_year == pytest.approx(-9_440, abs=10)
    assert own - rent == pytest.approx(by_month, abs=1)
    assert 0 < pair(decision, "own", "rent-for-70-percent")["months_discounted"] < 48


def test_a_shared_beginning_that_is_cached_and_calls_that_can_wait(tmp_path: Path) -> None:
    """0.0615 USD a call; cached 0.04125, and half of that for three quarters of them.

    The source has 30,800 and 11,520 USD: it leaves 1,500 of the shared tokens out of the first, and 0.041 · 0.625 is
    not 0.024.
    """
    topologies, _ = ran("cached-batches", tmp_path)
    before, after = (topologies[name]["cost"]["usd_per_month"] for name in ("before", "after"))
    assert before == pytest.approx(540_000 * 0.0615, rel=0.002)
    assert after == pytest.approx(540_000 * 0.04125 * (0.25 + 0.75 / 2), rel=0.002)


def test_rent_for_400_hours_a_month_against_a_machine_of_ones_own(tmp_path: Path) -> None:
    """11,542.99 against 14,400 USD a month; 392,000 / (14,400 - 3,376.32) months.

    The source's example calls the cloud cheaper and finds no break-even, beside a formula by which the machine is.
    """
    topologies, decision = ran("hours-400", tmp_path)
    running = 3_000 + 8 * 0.7 * 1.4 * 400 * 0.12
    assert topologies["own"]["cost"]["usd_per_month"] == pytest.approx(392_000 / 48 + running, rel=1e-4)
    assert topologies["rent"]["cost"]["usd_per_month"] == pytest.approx(8 * 4.5 * 400, rel=1e-4)
    assert pair(decision, "own", "rent")["months"] == pytest.approx(392_000 / (14_400 - running), rel=1e-3)


def test_tokens_pay_for_what_units_do_not_let_through(tmp_path: Path) -> None:
    """55,000 of 180,000 tokens a minute are 11/36 of 31,536 USD a month, beside 36,500 of units."""
    topologies, _ = ran("spillover", tmp_path)
    tokens = 3 * (800 * 2.5 + 200 * 10) / 1e6 * 3600 * HOURS
    assert topologies["tokens"]["cost"]["usd_per_month"] == pytest.approx(tokens, rel=0.002)
    assert topologies["spill"]["cost"]["usd_per_month"] == pytest.approx(50 * HOURS + tokens * 55 / 180, rel=0.005)
    assert topologies["spill"]["cost"]["unused_share"] == pytest.approx(0, abs=0.005)


def test_a_cache_that_lasts_for_an_hour_pays_where_one_of_five_minutes_costs(tmp_path: Path) -> None:
    """3,650 calls a month of 20,000 tokens that all have, 2,000 of their own and 500 of answer."""
    topologies, _ = ran("cache-hour", tmp_path)
    usd = {name: one["cost"]["usd_per_month"] for name, one in topologies.items()}
    of_all = {
        name: 3_650 * (20_000 * price + 2_000 * 3 + 500 * 15) / 1e6 for name, price in (("none", 3), ("hour", 0.3))
    }
    assert usd == pytest.approx({**of_all, "minutes": 3_650 * (20_000 * 3.75 + 2_000 * 3 + 500 * 15) / 1e6}, rel=0.002)


def test_seconds_of_work_alone_are_paid_of_a_gpu_that_scales_to_zero(tmp_path: Path) -> None:
    """10,000 / 24 * 730 calls of 0.5 s are 42.2 hours: 10.14 USD a month; the source has 0.34 USD a day."""
    topologies, _ = ran("by-the-second", tmp_path)
    usd = {name: one["cost"]["usd_per_month"] for name, one in topologies.items()}
    right = 10_000 / 24 * HOURS * 0.5 / 3600 * 0.24
    assert usd == pytest.approx({"serverless": right, "dedicated": 0.736 * HOURS}, rel=0.01)
    assert right * 24 / HOURS == pytest.approx(0.34, abs=0.01)


def test_a_thousand_requests_through_a_cascade_cost_the_small_model_the_check_and_a_share_of_the_large(
    tmp_path: Path, capsys: Capture
) -> None:
    """1,000 prompt and 500 output tokens: 0.875 USD, 0.10 of checks, 10.50 of what is escalated.

    The source pays for checks of escalated answers alone, though each answer is checked to know whether it is one.
    """
    topologies, _ = ran("cascade", tmp_path)
    escalated = topologies["cascade"]["metrics"]["escalated_share"]
    assert escalated == pytest.approx(0.3, abs=0.02)
    found = {name: one["cost"]["usd_per_thousand_requests"] for name, one in topologies.items()}
    assert found == pytest.approx({"large": 10.5, "cascade": 0.875 + 0.1 + escalated * 10.5}, rel=0.002)
    assert "$ per 1,000 requests" in capsys.readouterr().out
