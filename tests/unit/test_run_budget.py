"""What a run is said to need before it begins, and what is refused: each figure by hand, each limit at both sides."""

from __future__ import annotations

import math
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scenario_cases import chat, written

from simulator.errors import InputError
from simulator.resolve.topology import plan_topologies
from simulator.run.budget import (
    Budget,
    Needs,
    beforehand,
    check_needs,
    checked_budget,
    further_words,
    memory_left,
    needs_of,
    within,
)
from simulator.scenario.load import LoadedScenario

GIB = 2.0**30
DAY_S = 86_400.0
RENTED = "{name: p, site: lambda, gpu: h100-sxm, replicas: 2}"
SCALED = "{name: p, site: lambda, gpu: h100-sxm, autoscaler: {min: 1, max: 6, period_s: 20, target_per_replica: 9}}"


def scenario(folder: Path, *pools: str, **load: Any) -> LoadedScenario:
    topologies = [f"t{k}: {{pools: [{pool}]}}" for k, pool in enumerate(pools)]
    return written(folder, chat(*topologies, study="months: 1", **load))


def needs(loaded: LoadedScenario) -> Needs:
    return needs_of(loaded, plan_topologies(loaded))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        *((0.4, "0 s"), (119.0, "119 s"), (120.0, "2 min"), (7190.0, "120 min"), (7200.0, "2 h")),
        *((36_000.0, "10 h"), (47.9 * 3600, "47.9 h"), (48 * 3600.0, "2 days"), (10.5 * DAY_S, "10.5 days")),
    ],
)
def test_needs_are_told_in_units_that_a_person_reads(seconds: float, said: str) -> None:
    assert str(Needs(seconds, 1.5 * GIB)) == f"about 1.5 GiB and {said} of one core"


def test_time_is_that_of_requests_their_tokens_and_decisions(tmp_path: Path) -> None:
    """15 requests/s of 200 tokens over 60 s: 900 of 10 us and 2 us; 3 decisions of 10 us in each replication."""
    one = needs(scenario(tmp_path, RENTED))
    assert one.seconds == pytest.approx(900 * (1e-5 + 200 * 1e-8))
    two = needs(scenario(tmp_path, RENTED, SCALED, replications=3))
    assert two.seconds == pytest.approx(3 * (2 * 900 * 12e-6 + 3 * 1e-5))


@pytest.mark.parametrize(
    ("keys", "decisions"),
    [
        ("stock_outs: [{start_s: 30, duration_s: 1000}], reliability: {retry_s: 0.001}", 6 * 30_000),
        ("outages: {mtbf_h: 0.000001, mttr_h: 0.000001}", 60 / 0.0072),
        ("engine: {enable_prefix_caching: true, prefix_cache_resets: {every_s: 0.001}}", 6 * 60_000),
    ],
)
def test_what_comes_as_often_as_decisions_is_in_the_time(tmp_path: Path, keys: str, decisions: float) -> None:
    """Of at most six replicas in 60 s, each 10 us."""
    pool = SCALED.replace("{name: p,", f"{{name: p, {keys},")
    more_s = needs(scenario(tmp_path, pool)).seconds - needs(scenario(tmp_path, SCALED)).seconds
    assert more_s == pytest.approx(decisions * 1e-5)


def test_memory_is_that_of_the_largest_fleet_and_of_users_who_wait(tmp_path: Path) -> None:
    two, four = (needs(scenario(tmp_path, RENTED.replace("2}", f"{n}}}"))) for n in (2, 4))
    program = 400 * 2**20
    assert four.memory_bytes - program == pytest.approx(2 * (two.memory_bytes - program))
    both = needs(scenario(tmp_path, RENTED, RENTED.replace("2}", "4}")))
    assert both.memory_bytes == four.memory_bytes
    loaded = scenario(tmp_path, RENTED)
    users = written(
        tmp_path,
        loaded.path.read_text().replace(
            "{kind: poisson, rate_rps: 15}", "{kind: closed_loop, concurrency: 1000, think_s: 1}"
        ),
    )
    assert needs(users).memory_bytes == pytest.approx(two.memory_bytes + 200 * 1000)
    cached = written(
        tmp_path, loaded.path.read_text().replace("enable_prefix_caching: false", "enable_prefix_caching: true")
    )
    assert needs(cached).memory_bytes > two.memory_bytes + 2 * 50_000 * 8


def test_what_is_said_before_a_run_begins(tmp_path: Path) -> None:
    """0.4 of the time of the load; a search of a fixed number is 4 trials, each half as long as the load."""
    fixed, open_ = scenario(tmp_path, RENTED), scenario(tmp_path, RENTED, RENTED.replace("2}", "auto}"))
    assert beforehand(fixed, Needs(500.0, 0.0)) == "1 topologies: about 3 min of one core"
    assert beforehand(fixed, Needs(0.1, 0.0)).endswith("about 1 s of one core")
    assert (
        beforehand(open_, Needs(100.0, 0.0))
        == "2 topologies: 4 trials for sizes of 1 topologies, about 80 s of one core"
    )


@pytest.mark.parametrize(("months", "asked"), [(1, "latency limits or speed"), (3, "latency limits, speed or growth")])
def test_what_a_run_does_not_ask_and_how_long_it_takes(tmp_path: Path, months: int, asked: str) -> None:
    """5.4 s for 900 requests 500 times, by 0.4, with half of 4 trials of one of two topologies: 20 places of each."""
    loaded = scenario(tmp_path, RENTED, RENTED.replace("2}", "auto}"), replications=500)
    loaded = written(tmp_path, loaded.path.read_text().replace("months: 1", f"months: {months}"))
    seconds = 2 * 5.4 * 0.4 * (1 + 4 / 2 / 2) * 20 * (3 + (months > 1))
    words = further_words(loaded)
    assert f"volume, {asked} flips the winner. --explore-s SECONDS does" in words
    assert words.endswith(f"all of it takes about {seconds / 60:.0f} min of one core.")


def test_speed_is_that_of_engines_of_ones_own(tmp_path: Path) -> None:
    """Token APIs alone have none, so a run asks nothing of it: two assumptions, or one with engines that come later."""
    api = "api: {providers: [{name: v, offer: openai/gpt-4o-mini, data_classes: [internal]}]}"
    alone, beside = (
        written(tmp_path, chat(*each, study="months: 1")) for each in ([api], [api, f"own: {{pools: [{RENTED}]}}"])
    )
    assert "change of volume or latency limits flips" in further_words(alone)
    assert "change of volume, latency limits or speed flips" in further_words(beside)


def test_all_months_that_are_simulated_are_asked(tmp_path: Path) -> None:
    """Two kinds of month, the second with twice the load and a season of as much again: 1 + 2 + 4 times one month."""
    loaded = scenario(tmp_path, RENTED, RENTED, replications=500)
    study = (
        "months: 2, load_steps: [{from_month: 2, load: 2}], first_month: 2027-01, "
        "periods: [{name: all}, {name: more, hours_per_month: 100, load: 2, months: [2]}]"
    )
    loaded = written(tmp_path, loaded.path.read_text().replace("months: 1", study))
    seconds = 2 * 5.4 * 0.4 * 20 * 4 * (1 + 2 + 4)
    assert f"all of it takes about {seconds / 60:.0f} min" in further_words(loaded)


@pytest.mark.parametrize(
    ("found", "budget", "said"),
    [
        (Needs(DAY_S, GIB), Budget(None, GIB), None),
        (Needs(DAY_S + 1, GIB), Budget(None, GIB), "raise --time-limit (24 h unless given)"),
        (Needs(DAY_S, GIB + 1), Budget(None, GIB), "raise --memory-limit (1 GiB)"),
        (Needs(3 * DAY_S, GIB), Budget(3 * DAY_S, GIB), None),
        (Needs(3 * DAY_S + 1, GIB), Budget(3 * DAY_S, GIB), "raise --time-limit (259200 s)"),
        (Needs(DAY_S, GIB), Budget(5.0, GIB), None),
        (Needs(DAY_S + 1, GIB), Budget(5.0, GIB), "raise --time-limit (5 s)"),
    ],
)
def test_what_needs_more_than_it_may_is_refused(found: Needs, budget: Budget, said: str | None) -> None:
    if said is None:
        check_needs(found, budget)
    else:
        with pytest.raises(InputError) as refused:
            check_needs(found, budget)
        (problem,) = refused.value.problems
        assert said in problem.message
        assert str(found) in problem.message


def test_both_limits_are_told_together() -> None:
    with pytest.raises(InputError) as refused:
        check_needs(Needs(2 * DAY_S, 2 * GIB), Budget(None, GIB))
    assert len(refused.value.problems) == 2


@pytest.mark.parametrize(
    ("seconds", "gib", "wrong"),
    [
        (0.001, 0.25, []),
        (0.0, 0.25, ["--time-limit"]),
        (-1.0, 0.25, ["--time-limit"]),
        (math.inf, 0.25, ["--time-limit"]),
        (1.1e9, 1e9, ["--time-limit"]),
        (1e9, 1.1e9, ["--memory-limit"]),
        (1.0, 0.2499, ["--memory-limit"]),
        (1.0, math.inf, ["--memory-limit"]),
        (0.0, 0.0, ["--time-limit", "--memory-limit"]),
    ],
)
def test_limits_of_the_command_line(seconds: float, gib: float, wrong: list[str]) -> None:
    if not wrong:
        assert checked_budget(seconds, gib) == Budget(seconds, gib * GIB)
        return
    with pytest.raises(InputError) as refused:
        checked_budget(seconds, gib)
    assert [problem.file or problem.path or problem.message for problem in refused.value.problems] == wrong


def test_the_largest_limits_are_ones_that_the_system_counts() -> None:
    with within(checked_budget(1e9, 1e9)):
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 1e9


def test_unless_given_a_run_has_what_the_machine_has_left() -> None:
    found = checked_budget(None, None)
    assert found.seconds is None
    assert 2**28 <= found.memory_bytes <= 2 * memory_left()


def test_time_that_is_over_ends_what_is_done_and_gives_back_the_alarm() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(InputError, match=r"the time limit of 0\.05 s is over"), within(Budget(0.05, 64 * GIB)):
        signal.pause()
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0.0
    with within(Budget(3600.0, 64 * GIB)):
        assert 3500 < signal.getitimer(signal.ITIMER_REAL)[0] <= 3600
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0.0
    with within(replace(Budget(None, 64 * GIB))):
        assert signal.getitimer(signal.ITIMER_REAL)[0] == 0.0


def test_memory_that_is_used_up_is_told() -> None:
    with pytest.raises(InputError, match="the memory limit of 2 GiB is reached"), within(Budget(None, 2 * GIB)):
        raise MemoryError
