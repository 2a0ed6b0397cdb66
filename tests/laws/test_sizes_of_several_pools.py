"""Topologies of several open pools: any may be left out, whatever they cost and in whatever order they stand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scenario_cases import chat, trials_of, written

from simulator.decide.explore import Asked, Explorer
from simulator.resolve.sizes import Fixed, Scaled, alone, open_pool
from simulator.resolve.topology import PlannedTopology
from simulator.run.phases import phases
from simulator.run.simulate import simulate
from simulator.scenario.load import LoadedScenario
from simulator.simulate.demand import demand_of, whole_month
from simulator.simulate.store import Store
from simulator.size.advice import MOST_POOLS, MOST_TRIALS, advice
from simulator.size.found import Limits, Search
from simulator.size.larger import larger_points
from simulator.size.search import search
from simulator.size.trials import Trials

RENTED = (
    "{{name: {0}, site: lambda, gpu: h100-sxm, replicas: auto, gpus_per_instance: {1}, price_usd_per_gpu_hour: {2}}}"
)
OWNED = "{{name: {0}, site: datacentre, gpu: {1}, replicas: auto, billing: owned}}"
SERVERS = (
    "servers: [{name: small, site: datacentre, gpu: l40s, gpus_per_server: 1, capex_usd: 60000, spares: 0}, "
    "{name: large, site: datacentre, gpu: h100-sxm, gpus_per_server: 1, capex_usd: 50000, spares: 0}]"
)


def searched(scenario: LoadedScenario, limits: Limits | None = None) -> Search:
    (name,) = scenario.scenario.topologies
    return search(trials_of(scenario, name), limits)


def of(
    folder: Path, *pools: str, rest: str = "", apis: tuple[str, ...] = (), rate_rps: float = 8, tpot_s: float = 0.06
) -> LoadedScenario:
    order = [*(pool.split(",")[0].removeprefix("{name: ") for pool in pools), *apis]
    when = "when: {outstanding_per_replica: 8}"
    routing = f"routing: {{kind: overflow, order: [{', '.join(sorted(order, reverse=True))}], {when}}}"
    topology = f"several: {{pools: [{', '.join(pools)}], {routing}{rest}}}"
    return written(folder, chat(topology, study="", rate_rps=rate_rps, tpot_s=tpot_s, horizon_s=20, warmup_s=2))


@pytest.mark.parametrize("turned", [False, True])
def test_an_instance_of_eight_is_not_left_over_where_single_gpus_do(turned: bool, tmp_path: Path) -> None:
    pools = [RENTED.format("singly", 1, 3), RENTED.format("middle", 1, 9), RENTED.format("eight", 8, 5)]
    found = searched(of(tmp_path, *pools[:: -1 if turned else 1], rate_rps=30, tpot_s=0.009))
    assert found.best is not None
    assert sorted(size.most for size in found.best.point)[:2] == [0, 0]
    assert found.best.usd_per_month == pytest.approx(3 * 730 * found.best.replicas)


@pytest.mark.parametrize("kept", ["l40s", "h100-sxm"])
def test_of_two_kinds_of_owned_servers_the_cheaper_one_may_be_all(kept: str, tmp_path: Path) -> None:
    """Either may be the one that is not bought; neither stands for the other where it does what both do for less."""
    servers = SERVERS if kept == "h100-sxm" else SERVERS.replace("60000", "20000").replace("50000", "90000")
    scenario = of(tmp_path, OWNED.format("a", "l40s"), OWNED.format("h", "h100-sxm"), rest=f", {servers}, staff: {{}}")
    found = searched(scenario)
    assert found.best is not None
    numbers = dict(zip(("l40s", "h100-sxm"), (size.most for size in found.best.point), strict=True))
    assert numbers.pop(kept) > 0
    assert set(numbers.values()) == {0}


def test_what_owns_keeps_owning(tmp_path: Path) -> None:
    """Rented GPUs at next to nothing do not drive both kinds of owned servers out."""
    pools = (OWNED.format("a", "l40s"), OWNED.format("h", "h100-sxm"), RENTED.format("z", 1, 0.01))
    found = searched(of(tmp_path, *pools, rest=f", {SERVERS}, staff: {{}}"))
    assert found.best is not None
    owned, other, _ = (size.most for size in found.best.point)
    assert owned + other == 1


def test_the_gap_of_a_search_that_was_cut_off_knows_that_something_must_run(tmp_path: Path) -> None:
    scenario = of(tmp_path, RENTED.format("a", 1, 3), RENTED.format("b", 1, 4))
    cut = searched(scenario, Limits(max_trials=2))
    assert cut.claim == "not finished"
    assert cut.best is not None
    assert cut.best.usd_per_month - cut.gap_usd == pytest.approx(3 * 730)


def test_advice_on_what_owns_keeps_owning(tmp_path: Path) -> None:
    """Tokens at next to nothing would serve alone: that is another topology, not another size of this one."""
    written_pools = [OWNED.format(name, gpu).replace("auto", "2") for name, gpu in (("a", "l40s"), ("h", "h100-sxm"))]
    api = "{name: z, prices: [{input: 0.001, output: 0.001}], ttft_s: {median: 0.1}, tpot_s: {median: 0.001}, "
    rest = f", providers: [{api}data_classes: [internal]}}], {SERVERS}, staff: {{}}"
    scenario = of(tmp_path, *written_pools, rest=rest, apis=("z",))
    (name,) = scenario.scenario.topologies
    said = advice(scenario, name, (1e6,), whole_month(demand_of(scenario)), Store())
    assert "meets the SLO for" in said
    assert "a 0, h 0" not in said


@pytest.mark.parametrize(("moved", "kept"), [("", True), ("{name: a, gpu: h100-sxm}, ", False)])
def test_an_event_that_adds_owned_servers_leaves_those_in_place(
    moved: str, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it sells is charged to no size: a kind that stands keeps a replica, one that moves need not.

    The one on the dearer card that stands is enough; alone, the cheaper one would be.
    """
    added = OWNED.format("h", "h100-sxm")
    routing = "routing: {kind: overflow, order: [h, a], when: {outstanding_per_replica: 8}}"
    event = f"{{name: more, from_month: 3, topology: several, change: {{pools: [{moved}{added}], {routing}}}}}"
    topology = f"several: {{pools: [{OWNED.format('a', 'l40s')}], {SERVERS}, staff: {{}}}}"
    text = chat(
        topology,
        study=f"months: 4, load_steps: [{{from_month: 3, load: 1.01}}], events: [{event}]",
        rate_rps=8,
        tpot_s=0.06,
        horizon_s=20,
        warmup_s=2,
    )
    loaded = written(tmp_path, text)
    (phase,) = phases(loaded, "several")
    assert min(size.most for size in searched(alone(phase.loaded, "several")).best.point) == 0  # type: ignore[union-attr]
    asked: list[Explorer] = []

    def trial_flips(study: Explorer, *_: Any) -> list[Any]:
        asked.append(study)
        return []

    monkeypatch.setattr("simulator.run.decision.trial_flips", trial_flips)
    monkeypatch.setattr("simulator.run.decision.price_flips", lambda *known: [])
    monkeypatch.setattr("simulator.run.decision.capacities", lambda *known: {})
    run = simulate(loaded, tmp_path, explore_s=600.0)
    there = run.decision["topologies"]["several"]
    assert [month["replicas"] for month in there["months"][2:]] == [[1, 0]] * 2
    assert (there["months"][3]["usd"] == pytest.approx(there["months"][1]["usd"], rel=1e-3)) == kept
    (study,) = asked
    answer = study.best(Asked("several"))
    assert (answer.meets, answer.usd_per_month) == (True, pytest.approx(there["usd_per_month"]))


def test_an_event_that_changes_a_fee_buys_no_servers(tmp_path: Path) -> None:
    """Of two kinds of owned servers one is enough: so it is after the event, whose month costs the fee more."""
    pools = [OWNED.format("h", "h100-sxm"), OWNED.format("l", "l40s")]
    routing = "routing: {kind: overflow, order: [h, l], when: {outstanding_per_replica: 40}}"
    study = (
        "months: 3, events: [{name: fee, from_month: 2, topology: t, "
        "change: {fees: [{name: licence, usd_per_month: 7}]}}]"
    )
    text = chat(f"t: {{pools: [{', '.join(pools)}], {routing}}}", study=study, rate_rps=2, horizon_s=20, warmup_s=2)
    months = simulate(written(tmp_path, text + SERVERS), None, advise=False).decision["topologies"]["t"]["months"]
    assert [month["replicas"] for month in months] == [months[0]["replicas"]] * 3
    assert sorted(months[0]["replicas"]) == [0, 1]
    assert [month["usd"] - months[0]["usd"] for month in months] == pytest.approx([0, 7, 7])


@pytest.mark.parametrize("turned", [False, True])
def test_advice_tries_more_of_a_cheap_pool_than_any_number_that_is_written(turned: bool, tmp_path: Path) -> None:
    """One dear replica of each kind, and of the cheap kind several do the work of both for less."""
    pools = [RENTED.format("a", 1, 0.5).replace("h100-sxm", "l40s"), RENTED.format("h", 1, 60)]
    fixed = [pool.replace("auto", "1") for pool in pools[:: -1 if turned else 1]]
    scenario = of(tmp_path, *fixed, rate_rps=14)
    said = advice(scenario, "several", (60.5 * 730,), whole_month(demand_of(scenario)), Store())
    assert "h 0" in said
    assert "meets the SLO for" in said
    cheap = int(said.split("a ")[1].split(",")[0].split(" ")[0])
    assert cheap > 1


def test_advice_on_a_size_that_misses_names_one_that_meets(tmp_path: Path) -> None:
    """It costs more than what is written, which does not serve."""
    topology = f"several: {{pools: [{RENTED.format('a', 1, 3).replace('auto', '1')}]}}"
    scenario = written(tmp_path, chat(topology, study="", rate_rps=60, tpot_s=0.02, horizon_s=20, warmup_s=2))
    month = whole_month(demand_of(scenario))
    said = advice(scenario, "several", (3 * 730,), month, Store(), meets=False)

    def others(found: PlannedTopology) -> str:
        (pool,) = found.settings.pools
        return f"; and {pool.replicas} in others"

    later = advice(
        scenario, "several", (3 * 730,), month, Store(), meets=False, in_month=" in month 1", in_others=others
    )
    number = said.split("a ")[1].split(" ")[0]
    assert later == said.replace("the SLO", "the SLO in month 1") + f"; and {number} in others"
    opened = alone(scenario, "several")
    pools = tuple(
        replace(pool, scaler=None) for pool in (open_pool(opened, opened.scenario.topologies["several"], 0, None),)
    )
    best = search(Trials(opened, "several", pools, month, Store())).best
    assert best is not None
    assert best.replicas > 1
    assert said.startswith("misses the SLO as written; a ")
    assert float(said.split("$")[1].split(" ")[0].replace(",", "")) <= best.usd_per_month
    assert advice(scenario, "several", (3 * 730,), month, Store()) == "", (
        "a size that meets is told only where it costs less"
    )


@pytest.mark.parametrize("n", [2, MOST_POOLS + 1])
def test_sizes_of_many_pools_are_not_looked_at_for_advice(n: int, tmp_path: Path) -> None:
    fixed = [RENTED.format(f"p{k}", 1, 3).replace("auto", "2") for k in range(n)]
    scenario, store = of(tmp_path, *fixed), Store()
    said = advice(scenario, "several", (n * 6 * 730,), whole_month(demand_of(scenario)), store)
    assert ("meets the SLO for $" in said) == bool(store.misses) == (n <= MOST_POOLS)
    assert said.endswith(f"was not looked at: {n} pools are more than {MOST_POOLS}") == (n > MOST_POOLS)


@pytest.mark.parametrize(("n", "larger"), [(2, 0), (2, 2), (3, 5)])
def test_larger_sizes_are_tried_beside_the_trials_that_advice_has_anyway(
    n: int, larger: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many for each pool beyond the first, and one for each larger size."""
    asked: list[Limits] = []

    def searched(trials: Trials, limits: Limits, *rest: Any, **more: Any) -> Search:
        asked.append(limits)
        return Search(None, (), "minimal")

    points = [(Fixed(3 + k),) * n for k in range(larger)]
    monkeypatch.setattr("simulator.size.advice.search", searched)
    monkeypatch.setattr("simulator.size.advice.larger_points", lambda *of: points)
    scenario = of(tmp_path, *(RENTED.format(f"p{k}", 1, 3).replace("auto", "2") for k in range(n)))
    assert advice(scenario, "several", (n * 6 * 730,), whole_month(demand_of(scenario)), Store()) == ""
    assert [one.max_trials for one in asked] == [MOST_TRIALS * (n - 1) + larger]


def test_so_many_requests_are_not_looked_at_for_advice_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    topology = f"several: {{pools: [{RENTED.format('p', 1, 3).replace('auto', '2')}]}}"
    scenario = written(tmp_path, chat(topology, study="", horizon_s=20, warmup_s=2))
    month = whole_month(demand_of(scenario))
    requests = sum(one.demand.requests for one in month)
    monkeypatch.setattr("simulator.size.advice.MOST_REQUESTS", requests)
    assert "not looked at" not in advice(scenario, "several", (6 * 730,), month, Store())
    monkeypatch.setattr("simulator.size.advice.MOST_REQUESTS", requests - 1)
    said = advice(scenario, "several", (6 * 730,), month, Store())
    assert f"was not looked at: {requests:,} requests are more than {requests - 1:,}" in said


def test_advice_on_three_pools(tmp_path: Path) -> None:
    """Two cheap replicas do what two of each kind were bought for."""
    prices = {"a": 3, "b": 4, "c": 5}
    pools = [RENTED.format(name, 1, usd).replace("auto", "2") for name, usd in prices.items()]
    scenario = of(tmp_path, *pools, rate_rps=40, tpot_s=0.03)
    said = advice(scenario, "several", (2 * 730.0 * sum(prices.values()),), whole_month(demand_of(scenario)), Store())
    assert "b 0, c 0 meets the SLO for" in said
    assert "less than as written" in said
    assert said.endswith("as written")
    of_one = advice(
        scenario,
        "several",
        (2 * 730.0 * sum(prices.values()),),
        whole_month(demand_of(scenario)),
        Store(),
        in_month=" in month 1",
    )
    assert "meets the SLO in month 1 for" in of_one
    assert of_one.endswith("as written")


@pytest.mark.parametrize(
    "fails",
    ["server_failures: [{start_s: 0.5, duration_s: 0.2}]", "outages: {windows: [{start_s: 0.5, duration_s: 0.2}]}"],
)
def test_advice_keeps_a_pool_whose_failures_are_written(fails: str, tmp_path: Path) -> None:
    """Without it the fleet would do for less: so would any that is not asked what a failure does to it."""
    pools = [RENTED.format(name, 1, usd).replace("auto", "2") for name, usd in (("a", 3), ("b", 4))]
    usd = (2 * 730.0 * 7,)
    without = of(tmp_path, *pools)
    assert "b 0 meets the SLO for" in advice(without, "several", usd, whole_month(demand_of(without)), Store())
    scenario = of(tmp_path, pools[0], pools[1].replace("replicas: 2", f"replicas: 2, {fails}"))
    said = advice(scenario, "several", usd, whole_month(demand_of(scenario)), Store())
    assert "b 0" not in said
    assert "b 1 meets the SLO for" in said


def test_larger_settings_of_an_autoscaler_are_proposed_from_fewer_replicas_on(tmp_path: Path) -> None:
    scaler = "{min: 2, max: 2, target_per_replica: 20}"
    pool = f"{{name: a, site: lambda, gpu: h100-sxm, autoscaler: {scaler}}}"
    loaded = written(tmp_path, chat(f"t: {{pools: [{pool}]}}", study="", rate_rps=4, horizon_s=20, warmup_s=2))
    topology = loaded.scenario.topologies["t"]
    opened = (open_pool(loaded, topology, 0, (None, None, None)),)
    trials = Trials(alone(loaded, "t"), "t", opened, whole_month(demand_of(loaded)), Store())
    assert larger_points(trials, (Scaled(2, 2, 20),)) == [(Scaled(1, 3, 20),)]


@pytest.mark.parametrize(("price", "on"), [("", " on gpu_1x_h100_sxm5"), (", price_usd_per_gpu_hour: 4", "")])
def test_advice_names_the_instance_that_it_is_the_price_of(price: str, on: str, tmp_path: Path) -> None:
    topology = f"several: {{pools: [{{name: a, site: lambda, gpu: h100-sxm, replicas: 3{price}}}]}}"
    scenario = written(tmp_path, chat(topology, study="", rate_rps=1, horizon_s=20, warmup_s=2))
    said = advice(scenario, "several", (9000.0,), whole_month(demand_of(scenario)), Store())
    assert said.startswith(f"a 1{on} meets the SLO for $")
