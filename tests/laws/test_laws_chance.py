"""Bills of one replication are called equal where the requests of its window explain what lies between them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from money_scenarios import course
from parts import few
from scenario_cases import chat, written

from simulator.decide.beyond_chance import AtPrice, Way
from simulator.decide.chance import chance_of
from simulator.decide.costed import month_uses
from simulator.decide.rivals import chance_half_width_usd, rank
from simulator.decide.standing import contenders
from simulator.plan.plan import plan_fleet
from simulator.resolve.topology import plan_topology
from simulator.run.simulate import simulate
from simulator.study.decision import Chance, Contender
from simulator.study.terms import Terms, TokenPrices

POISSON = "{kind: poisson, rate_rps: 15}"
SPREAD = "{isl: {kind: lognormal, mean: 500, cv: 1.0}, osl: 200}"


def api(name: str, usd: float, ttft_s: float = 0.3, tpot_s: float = 0.01) -> str:
    return (
        f"{name}: {{providers: [{{name: p, prices: [{{input: {usd}, output: {usd}}}], ttft_s: {{median: {ttft_s}}}, "
        f"tpot_s: {{median: {tpot_s}, sigma: 0.2}}, data_classes: [internal]}}]}}"
    )


def flat(name: str, usd_per_month: float) -> str:
    """The same for a flat fee, whatever is used."""
    return api(name, 0.0).replace("data_classes", f"fixed_usd_per_month: {usd_per_month}, data_classes")


def run(folder: Path, *topologies: str, replications: int = 1, arrivals: str = POISSON, lengths: str = "") -> Any:
    text = chat(*topologies, study="months: 1", tpot_s=1.0, horizon_s=130, replications=replications)
    text = text.replace("p99: 1.0", "p99: 9.0").replace(POISSON, arrivals)
    return simulate(written(folder, text.replace("{isl: 500, osl: 200}", lengths or "{isl: 500, osl: 200}")), None)


@pytest.mark.parametrize("lengths", few(["", SPREAD], SPREAD))
def test_the_variance_is_that_of_other_requests(tmp_path: Path, lengths: str) -> None:
    """Forty replications know it from each other, one from its own window: two minutes of 15 requests a second."""
    summary = run(tmp_path, api("a", 2.0), replications=40, lengths=lengths).summary["topologies"]["a"]
    usd = np.array([one["usd_per_month"] for one in summary["replications"]])
    assert summary["cost"]["chance"] is None, "several replications tell it themselves"
    one = run(tmp_path, api("a", 2.0), lengths=lengths).summary["topologies"]["a"]["cost"]["chance"]
    assert one["usd"] == pytest.approx(usd.mean(), rel=0.1)
    assert np.sqrt(one["shared"]) == pytest.approx(usd.std(ddof=1) / usd.mean(), rel=0.3)


def test_a_bill_that_a_spend_fills_up_has_no_chance_in_it(tmp_path: Path) -> None:
    """Far more than the tokens is agreed: half a percent more of it is dearer, which tokens alone could not tell."""
    agreed = [
        flat(name, usd).replace("fixed", "minimum").replace("{input: 0.0, output: 0.0}", "{input: 1.0, output: 1.0}")
        for name, usd in (("less", 200_000.0), ("more", 201_000.0))
    ]
    found = run(tmp_path, *agreed, api("tokens", 9.0)).summary["topologies"]
    assert [found[name]["cost"]["usd_per_month"] for name in ("less", "more")] == pytest.approx([200_000.0, 201_000.0])
    assert [found[name]["cost"]["chance"]["usd"] for name in ("less", "more")] == [0.0, 0.0]
    assert found["tokens"]["cost"]["chance"]["usd"] > 0
    assert rank(contenders(found)).winners == ("less",)


def test_the_chance_of_prices_by_volume_is_that_of_the_next_tokens(tmp_path: Path) -> None:
    """All but a thousandth of the tokens cost a tenth; of more free ones than come, none of them anything."""
    steps = "volume_prices: {steps: [{above_tokens_per_month: 27000000, price_factor: 0.1}]}, data_classes"
    free = "free_tokens_per_month: 1e15, data_classes"
    first = "free_tokens_per_month: 15e9, data_classes"
    apis = [api("a", 2.0)] + [
        api(name, 2.0).replace("data_classes", more) for name, more in (("b", steps), ("c", free), ("d", first))
    ]
    found = run(tmp_path, *apis).summary["topologies"]
    usd = {name: found[name]["cost"]["chance"]["usd"] for name in found}
    assert usd["a"] == found["a"]["cost"]["usd_per_month"] > 2 * found["d"]["cost"]["usd_per_month"] > 0
    assert [usd[name] / usd["a"] for name in "bcd"] == pytest.approx([0.1, 0.0, 1.0])


def test_one_price_is_one_bill_however_long_answers_take(tmp_path: Path) -> None:
    """The same price for answers that take 0.4 or 4 s more: the same calls are made. Half a percent more is dearer."""
    twins = run(tmp_path, api("quick", 2.0), api("slow", 2.0, 0.8, 0.02), api("dear", 2.01))
    usd = {name: one["cost"]["usd_per_month"] for name, one in twins.summary["topologies"].items()}
    assert usd["quick"] == usd["slow"]
    assert {one["cost"]["chance"]["at_ends"] for one in twins.summary["topologies"].values()} == {0.0}
    found = rank(contenders(twins.summary["topologies"]))
    assert set(found.winners) == {"quick", "slow"}
    assert twins.decision["winners"] == list(found.winners)


def test_answers_of_a_pool_that_are_under_way_at_an_end_count_or_do_not(tmp_path: Path) -> None:
    """2 L of the n of 120 s stand at an end, so the variance of their share is 2 L/n²; L is what they stay a second."""
    rent = "rent: {pools: [{name: p, site: lambda, gpu: h100-sxm, replicas: 4}]}"
    told = run(tmp_path, rent).summary["topologies"]["rent"]
    stay_s, n = sum(told["metrics"]["breakdown_s"].values()), told["metrics"]["statuses"]["completed"]
    present = n * stay_s / 120.0
    assert told["cost"]["chance"]["at_ends"] == pytest.approx(2 * present / n**2, rel=0.01)


def test_a_flat_fee_beside_a_price_by_token_is_told_as_surely_as_the_load_is_known(tmp_path: Path) -> None:
    """15 calls a second of 700 tokens at $2 are $55,188 a month: to 2.4 % by 1,800 Poisson calls, or exactly."""
    beside = [flat(f"flat{percent}", 55_188 * (1 + percent / 100)) for percent in (-12, -2)]
    even = "{kind: gamma, rate_rps: 15, cv: 0.01}"
    close = {}
    for name, arrivals in (("poisson", POISSON), ("even", even)):
        found = run(tmp_path, api("by_token", 2.0), beside[1], arrivals=arrivals)
        close[name] = set(rank(contenders(found.summary["topologies"])).winners)
    assert close == {"poisson": {"by_token", "flat-2"}, "even": {"flat-2"}}
    far = run(tmp_path, api("by_token", 2.0), beside[0])
    assert rank(contenders(far.summary["topologies"])).winners == ("flat-12",)


def test_a_plan_calls_bills_equal_where_a_run_does(tmp_path: Path) -> None:
    """2 % apart by 1,800 Poisson calls is no order, 12 % is; with three replications it is their paired interval."""
    for percent, replications, same in ((-2, 1, True), (-12, 1, False), (-1, 3, True)):
        other = flat("flat", 55_188 * (1 + percent / 100))
        text = chat(api("by_token", 2.0), other, study="months: 1", horizon_s=130, replications=replications)
        found = plan_fleet(written(tmp_path, text.replace("p99: 1.0", "p99: 9.0")))
        assert ("costs the same" in found.verdict) == same, found.verdict


def test_pools_that_are_always_there_have_no_chance_in_their_rent(tmp_path: Path) -> None:
    rent = "rent: {pools: [{name: p, site: lambda, gpu: h100-sxm, storage_gb: 0, egress_usd_per_gb: 0, replicas: 2}]}"
    found = run(
        tmp_path,
        rent,
        rent.replace("rent:", "scaled:").replace("replicas: 2", "autoscaler: {min: 1, max: 2, target_per_replica: 8}"),
    )
    chance = {name: one["cost"]["chance"]["usd"] for name, one in found.summary["topologies"].items()}
    assert chance["rent"] == 0.0
    assert chance["scaled"] >= 0.0


def test_the_chance_of_rent_by_volume_is_that_of_the_next_hours_and_a_tax_is_on_it(tmp_path: Path) -> None:
    """All GPU-hours above ten cost a half; a fifth of tax is a fifth more of what goes with requests."""
    scaled = (
        "plain: {pools: [{name: p, site: lambda, gpu: h100-sxm, storage_gb: 0, egress_usd_per_gb: 0, "
        "gpus_per_instance: 1, price_usd_per_gpu_hour: 2, "
        "autoscaler: {min: 1, max: 4, target_per_replica: 9, down_window_s: 10}}]}"
    )
    steps = "volume_prices: {steps: [{above_gpu_hours_per_month: 10, price_factor: 0.5}]}, autoscaler"
    taxed = scaled.replace("plain:", "taxed:").replace("}}]}", "}}], taxes: [{name: vat, share: 0.2}]}")
    found = run(tmp_path, scaled, scaled.replace("plain:", "steps:").replace("autoscaler", steps), taxed)
    usd = {name: one["cost"]["chance"]["usd"] for name, one in found.summary["topologies"].items()}
    assert usd["plain"] > 1_460, "it is not there all the time"
    assert [usd["steps"] / usd["plain"], usd["taxed"] / usd["plain"]] == pytest.approx([0.5, 1.2])


def test_the_half_width_by_hand() -> None:
    """(100 - 60)² · 0.04 + 60² · 0.01 = 100, so 1.96 · 10; the same from either side; none where nothing moves."""
    a, b = Chance(100.0, 0.04, 0.0025), Chance(60.0, 0.0, 0.01)
    assert chance_half_width_usd(a, b) == pytest.approx(19.6, abs=0.001)
    assert chance_half_width_usd(b, a) == chance_half_width_usd(a, b)
    assert chance_half_width_usd(Chance(0.0, 0.04, 0.01), Chance(0.0, 0.04, 0.01)) == 0.0
    near = Contender("a", True, 1000.0, chance=a)
    for apart_usd, together in ((19.0, True), (20.0, False)):
        other = replace(near, name="b", usd_per_month=1000.0 + apart_usd, chance=b)
        assert (len(rank([near, other]).winners) == 2) == together


@pytest.mark.parametrize(("same", "apart_usd"), [(True, 4.0), (False, np.sqrt(136.0))])
def test_draws_of_routing_by_hand(same: bool, apart_usd: float) -> None:
    """± 10 and ± 6 of bills of 100 differ by 4 where one draw moves both, by √(10² + 6²) where each has its own."""
    a, b = (Chance(100.0, 0.0, 0.0, by, (share,)) for share, by in ((0.1, "x"), (0.06, "x" if same else "y")))
    assert chance_half_width_usd(a, b) == pytest.approx(1.96 * apart_usd, rel=1e-4)
    assert chance_half_width_usd(a, b) == chance_half_width_usd(b, a)
    turned = replace(b, by_draw=(-b.routed,))
    assert chance_half_width_usd(a, turned) == pytest.approx(1.96 * (16.0 if same else apart_usd), rel=1e-4)


def beside(name: str, first_usd: float, second_usd: float, routing: str = "weighted, weights: {x: 0.5, y: 0.5}") -> str:
    """Two token APIs."""
    first, second = (
        f"{{name: {k}, prices: [{{input: {usd}, output: {usd}}}], ttft_s: {{median: 0.3}}, "
        "tpot_s: {median: 0.001, sigma: 0.2}, data_classes: [internal]}"
        for k, usd in (("x", first_usd), ("y", second_usd))
    )
    return f"{name}: {{providers: [{first}, {second}], routing: {{kind: {routing}}}}}"


CASCADE = "cascade, first: x, second: y, escalate: {share: 0.3}"


def test_the_chance_of_a_weighted_split_is_that_of_its_draws(tmp_path: Path) -> None:
    """Of n requests of equal tokens the share p at $1 and the rest at $3: n p (1 - p) · 2², in shares of the bill."""
    found = run(tmp_path, beside("up", 1.0, 3.0), beside("down", 3.0, 1.0)).summary["topologies"]
    parts = [np.array(found[name]["cost"]["chance"]["by_draw"]) for name in ("up", "down")]
    assert parts[0] @ parts[1] < 0, "a draw that makes the one dearer makes the other cheaper"
    for name, sign in (("up", 1.0), ("down", -1.0)):
        first, second = (found[name]["metrics"]["targets"][target]["completed"] for target in "xy")
        n = first + second
        prices = (1.0, 3.0) if sign > 0 else (3.0, 1.0)
        bill = first * prices[0] + second * prices[1]
        right = 2.0 * np.sqrt(first * second / n) / bill
        chance = found[name]["cost"]["chance"]
        assert chance["routed"] == pytest.approx(right, rel=0.02), "calls at the ends of the window are the bill's"
        assert chance["drawn_by"] == "weights 0.5 0.5"
    assert found["up"]["metrics"]["targets"] == found["down"]["metrics"]["targets"], "both have the same draws"


def among(name: str, *prices: float) -> str:
    """Token APIs of which each has the same share of the requests."""
    apis = ", ".join(
        f"{{name: v{k}, prices: [{{input: {usd}, output: {usd}}}], ttft_s: {{median: 0.3}}, "
        "tpot_s: {median: 0.001, sigma: 0.2}, data_classes: [internal]}"
        for k, usd in enumerate(prices)
    )
    return f"{name}: {{providers: [{apis}], routing: {{kind: weighted}}}}"


def test_of_three_targets_the_same_draws_move_two_bills_each_its_own_way(tmp_path: Path) -> None:
    """n requests of equal tokens at $1, 2 and 6, or $2, 1 and 6: apart by $1, -1 and 0, n Σ p_k (d_k - d)² of them."""
    first, second = (1.0, 2.0, 6.0), (2.0, 1.0, 6.0)
    found = run(tmp_path, among("a", *first), among("b", *second)).summary["topologies"]
    done = np.array([found["a"]["metrics"]["targets"][f"v{k}"]["completed"] for k in range(3)])
    share = done / done.sum()
    apart = np.subtract(first, second)
    right = np.sqrt(done.sum() * (share @ apart**2 - (share @ apart) ** 2)) / (done @ first)
    one, other = (found[name]["cost"]["chance"] for name in "ab")
    parts = [np.array(chance["by_draw"]) * chance["usd"] for chance in (one, other)]
    assert np.linalg.norm(parts[0] - parts[1]) / one["usd"] == pytest.approx(right, rel=0.02)
    assert abs(np.linalg.norm(parts[0]) - np.linalg.norm(parts[1])) / one["usd"] < right / 10, "as they were told apart"


def test_at_another_price_draws_move_the_bill_as_they_do_there(tmp_path: Path) -> None:
    """Of $1 and $3 with the second at half of its price, against a study of $1 and $1.5."""

    def halved(terms: Terms, factor: float) -> Terms:
        first, second = terms.apis
        prices = tuple(TokenPrices(one.above_tokens, *(usd * factor for usd in one.by_kind)) for one in second.prices)
        return replace(terms, apis=(first, replace(second, prices=prices)))

    text = chat(beside("w", 1.0, 3.0), beside("at", 1.0, 1.5), study="months: 1", horizon_s=200)
    loaded, chances, ways = written(tmp_path, text), {}, {}
    for name in ("w", "at"):
        found = course(loaded, name)
        chances[name] = chance_of(found.priced, plan_topology(loaded, name).fleet.routing)
        months = found.journey.months
        ways[name] = Way(found.priced.terms, month_uses(months), tuple(months))
    today = Contender("w", True, 1.0, chance=chances["w"])
    then = AtPrice(halved, today, [ways["w"]])(0.5).chance
    right = chances["at"]
    assert then is not None
    assert right is not None
    assert then.usd == pytest.approx(right.usd)
    assert then.by_draw == pytest.approx(right.by_draw)
    assert then.routed == pytest.approx(right.routed)
    assert chances["w"] is not None
    assert then.routed < chances["w"].routed / 2


def test_one_target_or_one_decided_by_load_is_no_draw(tmp_path: Path) -> None:
    overflow = beside("next", 1.0, 3.0, "overflow, order: [x, y]")
    found = run(tmp_path, api("one", 2.0), overflow).summary["topologies"]
    assert [(one["cost"]["chance"]["routed"], one["cost"]["chance"]["drawn_by"]) for one in found.values()] == [
        (0.0, ""),
        (0.0, ""),
    ]


def test_the_chance_of_a_cascade_is_that_of_its_checks(tmp_path: Path) -> None:
    """Every request pays $0.5, and of n the share q another $5: n q (1 - q) · 5², in shares of the bill."""
    found = run(tmp_path, beside("c", 0.5, 5.0, CASCADE)).summary["topologies"]["c"]
    n, second = found["metrics"]["arrived"], found["metrics"]["targets"]["y"]["completed"]
    right = 5.0 * np.sqrt(second * (n - second) / n) / (0.5 * n + 5.0 * second)
    assert found["cost"]["chance"]["routed"] == pytest.approx(right, rel=0.03)


def test_the_same_draws_do_not_hide_a_price(tmp_path: Path) -> None:
    """A hundredth dearer is told of the same split, though each alone is known to 2.4 % by its draws."""
    found = run(tmp_path, beside("w", 1.0, 3.0), beside("dear", 1.01, 3.03)).summary["topologies"]
    assert rank(contenders(found)).winners == ("w",)


@pytest.mark.exhaustive
def test_bills_that_draws_of_routing_alone_set_apart_are_equal(tmp_path: Path) -> None:
    """A split at $1 and $3, a cascade and a flat $2 have one bill in the mean: told so in 19 of 20 runs, about."""
    topologies = api("flat", 2.0, tpot_s=0.001), beside("w", 1.0, 3.0), beside("c", 0.5, 5.0, CASCADE)
    pairs = [("w", "flat"), ("c", "flat"), ("c", "w")]
    told = dict.fromkeys(pairs, 0)
    for seed in range(1, 41):
        text = chat(*topologies, study="months: 1", tpot_s=1.0, horizon_s=40).replace("p99: 1.0", "p99: 9.0")
        loaded = written(tmp_path, text, f"run.seed={seed}")
        by_name = {one.name: one for one in contenders(simulate(loaded, None).summary["topologies"])}
        for pair in pairs:
            told[pair] += len(rank([by_name[name] for name in pair]).winners) == 2
    assert min(told.values()) >= 34, "fewer are one in 700 by chance, where 95 % are covered"
