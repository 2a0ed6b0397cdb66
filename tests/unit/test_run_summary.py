"""What a summary says of the clock, of a month and of what bills rest on: small parts by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from simulator.run import summary as module
from simulator.run.cost_summary import _committed, _resource, _shifts_usd, job_summary
from simulator.run.summary import _clock_s, _cost_warnings, _provider, _span_words, _zone_words, periods_of
from simulator.study.demand import When


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
