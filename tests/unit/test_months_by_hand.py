"""Months of a study, what is said of bills and their basis, and advice on sizes: small parts by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from simulator.decide.explore import Answered, Asked, Explorer, _between_loads
from simulator.plan.sizing import _below, _more, minimal
from simulator.resolve.sizes import Fixed, OpenPool, Scaled
from simulator.run import summary as module
from simulator.run.cost_summary import _committed, _resource, _shifts_usd, job_summary
from simulator.run.months import Journey, _apart, _changed_hours, _distance, replicas
from simulator.run.summary import _clock_s, _cost_warnings, _provider, _span_words, _zone_words, periods_of
from simulator.schema.pool import Pool
from simulator.size.advice import (
    _fails_as_written,
    _in_place_of,
    _most,
    _on_what,
    _wider,
    _with_open_schedule,
    _written,
)
from simulator.size.found import Search
from simulator.size.trials import Tried
from simulator.study.decision import Walked
from simulator.study.demand import Load, MonthLoad, Period, When


def test_how_far_a_load_is_from_the_nearest_period_of_a_month() -> None:
    """By day 2 and 6, by night 1 and 3 times as much: another window or time is as far as can be."""
    day, night = Period("day", 365.0, (1.0, 3.0)), Period("night", 365.0, (0.5, 1.5))
    month = MonthLoad((2.0, 2.0), (day, night))
    assert _distance(month, Load((2.0, 6.0))) == 0.0
    assert _distance(month, Load((1.5, 3.5))) == 1.0
    assert _distance(month, Load((4.0, 6.0))) == 2.0
    assert _distance(month, Load((2.0, 6.0), (0.0, 60.0))) == math.inf
    assert _distance(month, Load((2.0, 6.0), when=When(3600.0, 1.0))) == math.inf
    assert _apart(Load((1.0, 5.0)), Load((4.0, 3.0))) == 5.0


def fleet(**pools: tuple[int, int, Any, Any]) -> Any:
    """Pools of (replicas, most replicas, autoscaler, schedule), and an API of 2.5 units."""
    found = [
        SimpleNamespace(name=name, replicas=n, most_replicas=most, autoscaler=scaler, schedule=schedule)
        for name, (n, most, scaler, schedule) in pools.items()
    ]
    api = SimpleNamespace(name="api", provisioned_units=2.5)
    return SimpleNamespace(fleet=SimpleNamespace(pools=found), settings=SimpleNamespace(providers=[api]))


def test_replicas_of_each_pool_and_whole_units_of_an_api() -> None:
    planned = fleet(fixed=(3, 9, None, ()), scaled=(1, 6, object(), ()), timed=(2, 7, None, ((0, 1),)))
    assert replicas(planned, ("timed", "scaled", "absent", "fixed", "api")) == (7, 6, 0, 3, 3)
    assert replicas(planned, ()) == ()


def walked(month: int, *sizes: int) -> Walked:
    return Walked(month, (1.0,), sizes, True, 1.0, "", ())


def test_a_fleet_that_stays_keeps_its_key() -> None:
    stays = (walked(1, 3, 0), walked(2, 3, 0))
    assert Journey(stays, ()).fleet("k") == "k"
    assert Journey((walked(1, 3), walked(2, 0, 3)), ()).fleet("k") == "k", "a pool without replicas is none"
    grown = Journey((walked(1, 3), walked(2, 4)), ()).fleet("k")
    assert grown.startswith("k ")
    assert grown != Journey((walked(1, 3), walked(2, 5)), ()).fleet("k")
    assert Journey(stays, (), fleets=("x", "y")).fleet("k") not in ("k", Journey(stays, (), fleets=("x",)).fleet("k"))


def test_hours_are_told_from_the_month_in_which_they_change() -> None:
    """Months 1 to 6; in month 3 none was searched, so those before it hold."""
    hours = {1: "a", 2: "a", 3: "", 4: "b", 5: "b", 6: "a"}
    growth: Any = SimpleNamespace(hours=lambda asked: hours[asked])
    asks: Any = int
    assert _changed_hours([walked(k) for k in hours], asks, growth) == {4: "b", 6: "a"}
    assert _changed_hours([walked(1)], asks, growth) == {}


@pytest.mark.parametrize(
    ("clock_s", "ahead_h", "found"),
    [(0.0, 0.0, 0.0), (3600.0, 2.0, 10800.0), (3600.0, -2.0, 601_200.0), (604_800.0 + 60.0, 0.0, 60.0)],
)
def test_local_time_at_the_beginning_is_within_a_week(clock_s: float, ahead_h: float, found: float) -> None:
    assert _clock_s(When(clock_s, 0.0, ahead_h)) == found


def priced(*names: str) -> Any:
    served = SimpleNamespace(meets=True, attainment=0.5, binding="b")
    shares = [SimpleNamespace(period=SimpleNamespace(name=name), hours=73.0, served=served) for name in names]
    return SimpleNamespace(walked=[SimpleNamespace(shares=shares), SimpleNamespace(shares=[])])


def test_periods_are_those_of_the_first_month() -> None:
    assert [(one["name"], one["hours"], one["attainment"]) for one in periods_of(priced("day", "night"))] == [
        ("day", 73.0, 0.5),
        ("night", 73.0, 0.5),
    ]
    assert periods_of(SimpleNamespace(walked=[])) == []


@pytest.mark.parametrize(
    ("window_h", "names", "words"),
    [
        (None, ("month",), "a month is scaled from 2 h simulated"),
        (0.5, ("month",), "a month is scaled from 30 min simulated"),
        (0.5, ("a", "b"), "a month is scaled from 2 periods of 30 min simulated; figures are of b, costs of all"),
    ],
)
def test_what_a_month_is_scaled_from(
    window_h: float | None, names: tuple[str, ...], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "jobs_per_month", lambda scenario: 0.0)
    cut = None if window_h is None else SimpleNamespace(window_h=window_h)
    scenario = SimpleNamespace(study=SimpleNamespace(cut=cut), run=SimpleNamespace(horizon_s=7200.0))
    loaded: Any = SimpleNamespace(scenario=scenario)
    assert _span_words(loaded, priced(*names), "b") == words
    monkeypatch.setattr(module, "jobs_per_month", lambda scenario: 12.5)
    assert _span_words(loaded, priced(*names), "b").startswith("jobs in a month: 12.5; owned servers")


def site(zone: str, hours: int, *later: Any, name: str = "colo") -> Any:
    facility = SimpleNamespace(time_zone=zone, electricity_usd_per_kwh=(0.1,) * hours)
    return SimpleNamespace(site=name, facility=facility, later=later)


def bill(*owned: Any, rented: tuple[Any, ...] = (), apis: tuple[Any, ...] = (), **more: Any) -> Any:
    terms = SimpleNamespace(owned=owned, rented=rented, apis=apis)
    found = {"terms": terms, "estimates": (), "stale": (), "unknown": ()} | more
    return SimpleNamespace(**found)


def asked(zone: str | None = None, *tiers: str) -> Any:
    classes = [SimpleNamespace(service_tier=tier) for tier in tiers]
    scenario = SimpleNamespace(run=SimpleNamespace(time_zone=zone), workload=SimpleNamespace(classes=classes))
    return SimpleNamespace(scenario=scenario)


def test_clocks_by_which_electricity_is_paid_are_told_where_they_are_others() -> None:
    berlin, flat, moved = site("Europe/Berlin", 24), site("Europe/Berlin", 1), site("Asia/Tokyo", 24)
    told = "electricity by the hour goes by Europe/Berlin at colo, the run by UTC: servers may say time_zone"
    assert _zone_words(asked(), bill(berlin, berlin)) == [told]
    assert _zone_words(asked("Europe/Berlin"), bill(berlin)) == []
    assert _zone_words(asked(), bill(flat, site("", 24))) == []
    assert _zone_words(asked("UTC"), bill(site("Europe/Berlin", 1, berlin, moved))) == [
        told,
        told.replace("Europe/Berlin", "Asia/Tokyo"),
    ]


def test_what_a_bill_rests_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "retired_words", lambda scenario, name: [])
    days: dict[str, bool] = {"part": True}
    monkeypatch.setattr(module, "part_of_the_day", lambda scenario: days["part"])
    provider: Any = {"a": ("batch",), "b": ()}
    monkeypatch.setattr(module, "sells_tier", lambda one, tier: tier in provider[one.name])
    planned: Any = SimpleNamespace(
        name="t", settings=SimpleNamespace(providers=[SimpleNamespace(name="a"), SimpleNamespace(name="b")])
    )

    def said(loaded: Any, prices: Any, **shares: float) -> list[str]:
        return _cost_warnings(loaded, planned, prices, shares)

    assert said(asked(), bill()) == []
    assert said(asked(), bill(unknown=("x", "y"))) == ["not charged, as no price is known: x, y"]
    assert said(asked(), bill(estimates=("one", "two")), two=0.5) == ["prices that are estimates: one"]
    assert said(asked(), bill(estimates=("two",)), two=0.5) == []
    hourly = "prices go by the hour of day, but the simulated time is no whole number of days"
    rent = SimpleNamespace(usd_per_instance_hour=(1.0, 2.0), later=())
    later = SimpleNamespace(usd_per_instance_hour=(1.0,), later=(rent,))
    api, flat = SimpleNamespace(factor_by_hour=(1.0, 2.0)), SimpleNamespace(factor_by_hour=(1.0,))
    for prices in (bill(site("", 24)), bill(site("", 1, site("", 24))), bill(rented=(rent,)), bill(rented=(later,))):
        assert said(asked(), prices) == [hourly]
    assert said(asked(), bill(apis=(flat, api))) == [hourly]
    assert said(asked(), bill(site("", 1), apis=(flat,))) == []
    days["part"] = False
    assert said(asked(), bill(apis=(api,))) == []
    assert said(asked(None, "standard", "batch", "batch", "flex"), bill()) == [
        "no batch price: batch requests pay the usual one at b",
        "no flex price: flex requests pay the usual one at a, b",
    ]


def test_a_token_api_was_up_for_the_time_of_all_replications() -> None:
    """Down for 10 and 20 s of 100 and 200 s."""
    usage = [SimpleNamespace(name="api", down_s=down, outages=n, failed=n + 2) for down, n in ((10.0, 1), (20.0, 3))]
    replications: Any = [
        SimpleNamespace(usage=SimpleNamespace(providers=[one], span_s=span))
        for one, span in zip(usage, (100.0, 200.0), strict=True)
    ]
    offer = SimpleNamespace(id="o", availability_sla=SimpleNamespace(value=0.999))
    found = {"name": "api", "availability": 0.9, "outages": 4, "failed_in_outages": 8}
    assert _provider(SimpleNamespace(offers=[offer]), replications, 0) == {  # type: ignore[arg-type]
        **found,
        "offer": "o",
        "availability_sla": 0.999,
    }
    none = _provider(SimpleNamespace(offers=[None]), replications, 0)  # type: ignore[arg-type]
    assert (none["offer"], none["availability_sla"]) == ("", None)


@pytest.mark.parametrize(
    ("usd", "shifts"),
    [
        ((), (0.0, 0.0)),
        ((120.0, 100.0, 90.0), (20.0, -10.0)),
        ((None, 100.0, 90.0), (0.0, -10.0)),
        ((120.0, 100.0, None), (20.0, 0.0)),
        ((120.0, None, 90.0), (0.0, 0.0)),
    ],
)
def test_what_a_size_costs_more_at_either_speed(usd: tuple[Any, ...], shifts: tuple[float, float]) -> None:
    assert _shifts_usd([SimpleNamespace(usd_per_month=one) for one in usd]) == shifts  # type: ignore[misc]


def test_most_instances_under_commitment_by_pool() -> None:
    """Three for months 1 to 12 and two for 7 to 18 are five at once; of two offers of a pool the one with more."""

    def offer(pool: str, *begins: tuple[int, int, int]) -> Any:
        commitments = [SimpleNamespace(term_months=term, begins=((start, n),)) for start, term, n in begins]
        return SimpleNamespace(pool=pool, commitments=commitments)

    terms: Any = SimpleNamespace(
        rented=[
            offer("a", (0, 12, 3), (6, 12, 2)),
            offer("a", (0, 12, 4)),
            offer("b", (0, 6, 1), (6, 6, 2)),
            offer("c"),
        ]
    )
    assert _committed(terms) == {"a": 5, "b": 2}


def test_a_job_takes_the_mean_of_its_replications_and_a_share_of_the_month() -> None:
    runs = [SimpleNamespace(usage=SimpleNamespace(span_s=span)) for span in (100.0, 300.0)]
    found: Any = SimpleNamespace(terms=SimpleNamespace(jobs_per_month=4.0), replications=runs, usd_per_month=50.0)
    assert job_summary(found) == {"job_s": 200.0, "jobs_per_month": 4.0, "usd_per_job": 12.5}
    found.terms.jobs_per_month = 0.0
    assert job_summary(found) is None


@pytest.mark.parametrize(
    ("owner", "category", "place", "owned", "found"),
    [
        ("p", "on demand", "aws-us-east", (), ("AWS us-east-1", "us")),
        ("q", "on demand", "aws-us-east", (), ("AWS us-east-1", "west")),
        ("api", "input tokens", "", ("colo",), ("api", "")),
        ("t", "staff", "", (), ("in house", "")),
        ("t", "staff", "", ("datacentre", "colo"), ("Own data centre", "own")),
    ],
)
def test_who_provides_what_a_line_pays_for(
    owner: str, category: str, place: str, owned: tuple[str, ...], found: tuple[str, str]
) -> None:
    line: Any = SimpleNamespace(owner=owner, category=category, site=place)
    sites = [SimpleNamespace(site=one) for one in owned]
    terms: Any = SimpleNamespace(topology="t", owned=sites, apis=[SimpleNamespace(provider="api")])
    resource = _resource(line, terms, {"q": "west"})
    assert (resource.provider, resource.region) == found


def test_a_token_api_with_the_topology_s_name_is_no_house() -> None:
    terms: Any = SimpleNamespace(topology="t", owned=[], apis=[SimpleNamespace(provider="t")])
    line: Any = SimpleNamespace(owner="t", category="input tokens", site="")
    assert _resource(line, terms, {}).provider == "t"
    assert _resource(SimpleNamespace(owner="t", category="staff", site=""), terms, {}).provider == "in house"  # type: ignore[arg-type]


def square(most: float = math.inf) -> tuple[Explorer, list[float]]:
    """A topology that costs the square of its load, up to the most that it serves."""
    asked: list[float] = []

    def serve(one: Asked, left_s: float) -> Answered:
        asked.append(one.load)
        return Answered(one.load <= most, one.load**2 if one.load <= 2 * most else None)

    return Explorer(serve, serve, math.inf), asked


def test_between_two_loads_of_the_ladder_bills_lie_on_a_line() -> None:
    """Four loads a doubling: 1, 1.189, 1.414, 1.682, 2."""
    step = 2**0.25
    explorer, seen = square()
    slope = (step**2 - 1) / (step - 1)
    assert _between_loads(explorer, "a", 1.1, 64.0) == pytest.approx(1 + slope * 0.1)
    assert seen == pytest.approx([step, 1.0])
    assert _between_loads(explorer, "a", 1.0, 64.0) == 1.0
    assert len(seen) == 2, "a load of the ladder is asked itself"
    assert _between_loads(explorer, "a", 0.9, 64.0) == pytest.approx(1 - (1 - step**-2) / (1 - 1 / step) * 0.1)


def test_beyond_the_largest_load_nothing_is_asked() -> None:
    explorer, seen = square()
    assert _between_loads(explorer, "a", 1.1, 1.15) == pytest.approx(1 + (1.15**2 - 1) / 0.15 * 0.1)
    assert seen == pytest.approx([1.15, 1.0])
    assert _between_loads(square(1.05)[0], "a", 1.1, 64.0) is None, "the load above is too much"
    assert _between_loads(square(0.5)[0], "a", 1.1, 1.15) is None


def met(*points: tuple[Any, ...], refused: tuple[Any, ...] = (), claim: str = "minimal", best: Any = None) -> Search:
    trail = [Tried(point, "met", (1.0,)) for point in points]
    trail += [Tried(refused, "refused")] if refused else []
    return Search(None if best is None else Tried(best, "met", (1.0,)), tuple(trail), claim)


def test_minimal_fleets_are_those_of_which_no_smaller_one_met() -> None:
    points = [(Fixed(a), Fixed(b)) for a, b in ((3, 1), (1, 4), (2, 2), (3, 2), (2, 3), (1, 5))]
    assert [tuple(size.most for size in point) for point in minimal(met(*points, refused=(Fixed(1), Fixed(1))))] == [
        (1, 4),
        (2, 2),
        (3, 1),
    ]
    assert minimal(met()) == ()
    three = (Fixed(1), Fixed(2), Fixed(3))
    assert minimal(met(three, (Fixed(1), Fixed(1), Fixed(9)), best=three)) == (three,)
    two = (Fixed(2), Fixed(2))
    assert len(minimal(met(*points, best=two))) == 3, "of two pools all are told"


def test_below_is_no_larger_in_any_pool_and_not_the_same() -> None:
    assert _below((1, 2), (1, 3))
    assert not _below((1, 2), (1, 2))
    assert not _below((1, 4), (2, 3))


def test_spare_replicas_come_on_top_of_those_that_are_there() -> None:
    assert _more(Fixed(3), 2) == Fixed(5)
    assert _more(Fixed(0), 2) == Fixed(0)
    assert _more(Scaled(1, 4, 8.0), 2) == Scaled(1, 6, 8.0)


def pool(**more: Any) -> Pool:
    return Pool.model_validate({"name": "p", "site": "lambda", "gpu": "h100-sxm", "replicas": 3} | more)


def test_what_is_written_of_a_pool_is_its_largest_number() -> None:
    scheduled = pool(schedule=[{"hours": "8-18", "replicas": 7}, {"days": "sat", "replicas": 7}, {"replicas": 5}])
    assert (_written(pool()), _written(scheduled)) == (Fixed(3), Fixed(7))
    scaler = {"min": 2, "max": 9, "target_per_replica": 6, "metric": "waiting"}
    assert _written(
        Pool.model_validate(pool().model_dump(exclude_unset=True, exclude={"replicas"}) | {"autoscaler": scaler})
    ) == (Scaled(2, 9, 6.0))
    opened = _with_open_schedule(scheduled)
    assert ([one.replicas for one in opened.schedule], opened.replicas) == (["auto", "auto", 5], 3)
    night = _with_open_schedule(pool(replicas=7, schedule=[{"hours": "22-6", "replicas": 2}]))
    assert ([one.replicas for one in night.schedule], night.replicas) == ([2], "auto")
    assert (_in_place_of(Fixed(7), scheduled), _in_place_of(Fixed(3), pool())) == (" where its schedule has 7", "")


def test_how_far_advice_looks() -> None:
    plain, stepped = OpenPool(0, "a", 1, 1, owned=False), OpenPool(0, "a", 3, 4, owned=False)
    scaled = OpenPool(0, "a", 1, 1, owned=False, scaler=(None, None, None))
    assert _most((plain,), (Fixed(5),), []) == 5
    assert _most((stepped,), (Fixed(5),), []) == 12
    assert _most((plain, plain), (Fixed(5), Fixed(2)), [(Fixed(1), Fixed(6))]) == 12
    assert _most((scaled,), (Scaled(1, 5, 4.0),), []) == 8
    assert _most((), (), []) == 1
    assert [_wider(n) for n in (0, 1, 4, 5)] == [0, 2, 6, 8]


def test_a_size_says_its_instance_where_several_are_sold() -> None:
    assert _on_what("p", Fixed(3), pool()).startswith("p 3 on gpu_")
    assert _on_what("p", Fixed(3), None) == "p 3"
    assert _on_what("p", Fixed(3), pool(price_usd_per_gpu_hour=2.0)) == "p 3"
    assert _on_what("p", Fixed(3, "gpu_8x_h100_sxm5"), pool()) == "p 3 on gpu_8x_h100_sxm5"


def test_a_pool_whose_faults_are_written_is_not_taken_away() -> None:
    assert not _fails_as_written(pool())
    assert _fails_as_written(pool(outages={"mtbf_h": 100, "mttr_h": 1}))
