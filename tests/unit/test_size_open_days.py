"""Days of windows that are open: the busiest of each number, found together with hours or alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.errors import InputError
from simulator.resolve.open_windows import arrivals_by_day_and_hour, busiest_days, window_values, window_words
from simulator.run.simulate import simulate
from simulator.scenario.load import LoadedScenario, load_scenario
from simulator.schema.clock import WeekWindow

WEEK = """
schema_version: 1
name: week
model: llama-3.1-8b-instruct
engine: {max_model_len: 8192, enable_prefix_caching: false}
workload:
  classes:
    - name: chat
      arrivals: {kind: schedule, rate_rps: 0.01, hourly: HOURLY, weekly: [WEEKLY]}
      lengths: {isl: 2000, osl: 20}
      data_class: public
      slo: {ttft_s: {p95: 5.0}}
topologies:
  t:
    pools:
      - {name: gpus, site: aws-us-east, gpu: l40s, replicas: 0, price_usd_per_gpu_hour: USD,
         schedule: [{WINDOW, replicas: 1}]}
    providers:
      - {name: api, prices: [{input: 0.15, output: 0.6}], ttft_s: {median: 0.3}, tpot_s: {median: 0.01},
         data_classes: [public]}
    routing: {kind: windows, windows: [{WINDOW, use: [gpus, api]}], otherwise: [api]}
cost: {draws: 0}
study: {months: 1}
run: {start: mon, horizon_s: HORIZON, warmup_s: 60, replications: 1, seed: 5, keep_requests: false}
"""
DAY = "[0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 3, 3, 3, 3, 3, 3, 3, 0, 0, 0, 0, 0, 0, 0]"


def week(
    folder: Path,
    window: str,
    hourly: str = f"[{', '.join(['1'] * 24)}]",
    horizon_s: int = 604_800,
    weekly: str = "1, 1, 1, 1, 1, 0.1, 0.1",
    usd_per_hour: float = 0.006,
) -> LoadedScenario:
    file = folder / "scenario.yaml"
    text = WEEK.replace("WINDOW", window).replace("HOURLY", hourly).replace("HORIZON", str(horizon_s))
    text = text.replace("WEEKLY", weekly).replace("USD", str(usd_per_hour))
    file.write_text(text)
    return load_scenario(file)


def of(loaded: LoadedScenario, folder: Path) -> dict[str, Any]:
    return dict(simulate(loaded, folder / "runs").summary["topologies"]["t"])


def test_the_busiest_days_one_after_another() -> None:
    arrivals = np.array([5.0, 9.0, 1.0, 1.0, 2.0, 4.0, 6.0])
    assert busiest_days(arrivals) == ["tue", "mon-tue", "sun-tue", "sat-tue", "fri-tue", "thu-tue", "mon-sun"]


@pytest.mark.parametrize(
    ("window", "text", "filled"),
    [
        ({"days": "auto", "hours": "auto"}, "mon-fri 8-20", {"days": "mon-fri", "hours": "8-20"}),
        ({"hours": "auto"}, "mon-fri 8-20", {"hours": "8-20"}),
        ({"days": "auto", "hours": "6-9"}, "mon-fri", {"days": "mon-fri"}),
        ({"days": "sat"}, "mon-fri 8-20", {}),
    ],
)
def test_what_is_open_of_a_window_is_filled_in(window: dict[str, str], text: str, filled: dict[str, str]) -> None:
    assert window_values(WeekWindow(**window), text) == filled  # type: ignore[arg-type]
    assert window_words(text) == {"mon-fri 8-20": "mon-fri 8-20 h", "mon-fri": "mon-fri"}[text]


def test_arrivals_count_on_the_day_and_hour_of_the_clock(tmp_path: Path) -> None:
    """The clock shows Sunday 23:00 at second 0: an hour on it is Monday."""
    loaded, times = week(tmp_path, "days: auto, hours: auto"), np.array([0.0, 3600.0, 3600.0 * 26])
    start_s = 3600.0 * (6 * 24 + 23)
    found = arrivals_by_day_and_hour(loaded, WeekWindow(days="auto", hours="auto"), [times], start_s)
    assert {(int(day), int(hour)) for day, hour in np.argwhere(found)} == {(6, 23), (0, 0), (1, 1)}
    weekend = arrivals_by_day_and_hour(loaded, WeekWindow(days="sat, sun", hours="auto"), [times], start_s)
    assert [(int(day), int(hour)) for day, hour in np.argwhere(weekend)] == [(6, 23)]


def test_the_days_on_which_gpus_are_worth_it(tmp_path: Path) -> None:
    """A GPU of $0.144 a day beside tokens of $0.27 on working days and $0.03 at the weekend: five days of it."""
    found = of(week(tmp_path, "days: auto"), tmp_path)
    assert found["search"]["hours"] == "mon-fri"
    written = {
        days: of(week(tmp_path, f"days: {days}"), tmp_path) for days in ("mon-fri", "mon-thu", "mon-sat", "mon-sun")
    }
    usd = {days: one["cost"]["usd_per_month"] for days, one in written.items()}
    assert found["cost"]["usd_per_month"] == usd["mon-fri"] == min(usd.values())
    by_days = {row["hours"]: row["usd_per_month"] for row in found["search"]["windows"]}
    assert len(by_days) == 7
    assert {days: value for days, value in by_days.items() if days in usd and value is not None}.items() <= usd.items()


@pytest.mark.exhaustive
def test_days_and_hours_are_found_together(tmp_path: Path) -> None:
    found = of(week(tmp_path, "days: auto, hours: auto", DAY), tmp_path)
    days, hours = found["search"]["hours"].split(" ")
    assert (days, hours) == ("mon-fri", "9-17")
    again = of(week(tmp_path, f"days: {days}, hours: {hours}", DAY), tmp_path)
    assert found["cost"]["usd_per_month"] == again["cost"]["usd_per_month"]


@pytest.mark.exhaustive
def test_days_are_looked_at_again_where_the_hours_have_changed(tmp_path: Path) -> None:
    """Of k·$0.011 of tokens an hour, k = 3 in four hours and 1.8 in eight, and GPUs of $0.0158: on seven days, of
    weights 1, 1, 1, 0.6, 0.6, 0.1 and 0.1, four hours are worth it (3·0.63 > 1.4); four hours on five days
    (3·0.6 > 1.4); twelve on these five (1.8·0.84 > 1.4); and twelve on three of them, as Thursday's bring 0.6·2.2.
    """
    hourly = "[0, 0, 0, 0, 0, 0, 1.8, 1.8, 1.8, 1.8, 3, 3, 3, 3, 1.8, 1.8, 1.8, 1.8, 0, 0, 0, 0, 0, 0]"
    weights, usd = "1, 1, 1, 0.6, 0.6, 0.1, 0.1", 0.0158
    found = of(week(tmp_path, "days: auto, hours: auto", hourly, weekly=weights, usd_per_hour=usd), tmp_path)
    assert found["search"]["hours"] == "mon-wed 6-18"


def test_days_need_a_week_of_arrivals(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"days are found from a whole week of arrivals: run\.horizon_s must be at least 604800"
    ):
        of(week(tmp_path, "days: auto", horizon_s=86_400), tmp_path)
