"""Terms of the catalog for a pool that leaves its instances open: on those that cost least, by sums of all mixes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from scenario_cases import chat, written
from terms_cases import RENTED, pools, refused, resolve

from simulator.catalog.offers import gpu_offer, gpu_offers, instances_for
from simulator.errors import InputError
from simulator.resolve.commitments import commitments
from simulator.resolve.committable import on_committable_instances
from simulator.resolve.figures import Figures
from simulator.resolve.offers import price_of
from simulator.run.simulate import simulate
from simulator.scenario.load import LoadedScenario
from simulator.schema.pool import Pool

LENGTHS = {"reserved_1y": 12, "reserved_3y": 36, "reserved_5y": 60}
ON_DEMAND = sorted({(one.site, one.gpu) for one in gpu_offers() if one.tier == "on_demand"})
SOLD = [
    there for there in ON_DEMAND if any((one.site, one.gpu) == there and one.tier in LENGTHS for one in gpu_offers())
]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedScenario:
    topology = "t: {pools: [{name: p, site: aws-us-east, gpu: h100-sxm, commitments: auto}]}"
    return written(tmp_path_factory.mktemp("sweep"), chat(topology, study="months: 36"))


def chosen(loaded: LoadedScenario, pool: Pool, months: float) -> Pool:
    scenario = loaded.scenario
    topology = scenario.topologies["t"].model_copy(update={"pools": (pool,)})
    study = scenario.study.model_copy(update={"months": months})
    asked = replace(loaded, scenario=scenario.model_copy(update={"topologies": {"t": topology}, "study": study}))
    (found,) = on_committable_instances(asked, "t").scenario.topologies["t"].pools
    return found


def latest(site: str, gpu: str, tier: str, instance: str, tp: int) -> float | None:
    try:
        return gpu_offer(site, gpu, tier, gpus=tp, instance=instance).usd_per_instance_hour
    except InputError:
        return None


def by_hand(site: str, gpu: str, tp: int, replicas: int, months: int) -> Iterator[tuple[float, int, str, bool]]:
    """USD per hour of each instance, its GPUs, its name, and whether it has terms: of all numbers of terms in a row."""
    sizes = {one.instance: one.gpus_per_instance for one in gpu_offers() if (one.site, one.gpu) == (site, gpu)}
    for instance, gpus in sizes.items():
        usd = latest(site, gpu, "on_demand", instance, tp)
        if usd is None:
            continue
        terms = {n: latest(site, gpu, tier, instance, tp) for tier, n in LENGTHS.items()}
        known = {n: price for n, price in terms.items() if price is not None}
        each = min(
            sum(k * n * known[n] for k, n in zip(counts, known, strict=True))
            + usd * max(0, months - sum(k * n for k, n in zip(counts, known, strict=True)))
            for counts in product(range(math.ceil(months / 12) + 1), repeat=len(known))
        )
        yield each * instances_for(tp, replicas, gpus) / months, gpus, instance, bool(known)


@pytest.mark.parametrize(("site", "gpu"), ON_DEMAND)
def test_every_offer_of_the_catalog_is_on_the_instances_that_cost_least(
    loaded: LoadedScenario, site: str, gpu: str
) -> None:
    every = (6, 12, 30, 36), (1, 2, 4, 8), (1, 4, 5, 7, 9)
    for months, tp, replicas in product(*(every if (site, gpu) in SOLD else [each[-1:] for each in every])):
        sums = sorted(by_hand(site, gpu, tp, replicas, months))
        pool = Pool.model_validate(
            {"name": "p", "site": site, "gpu": gpu, "commitments": "auto"}
            | {"tensor_parallel_size": tp, "replicas": replicas}
        )
        found = chosen(loaded, pool, months)
        if not any(has_terms for *_, has_terms in sums):
            assert found == pool, "refused where it is priced, as nobody sells a term"
            with pytest.raises(InputError, match=r"no term|no instance|no price"):
                (price_of(pool, "p", Figures({})), commitments(pool, "p", Figures({})))
            continue
        _, _, instance, has_terms = sums[0]
        assert found.instance == instance, (tp, replicas, sums)
        assert bool(commitments(found, "p", Figures({}))) == has_terms


def test_terms_are_sold_of_more_than_one_size_somewhere() -> None:
    """Else the sweep would choose between nothing."""
    both = [there for there in SOLD if len({one.instance for one in gpu_offers() if (one.site, one.gpu) == there}) > 1]
    assert ("aws-us-east", "h100-sxm") in both


@pytest.mark.parametrize(
    ("replicas", "months", "instance", "usd_per_hour"),
    [
        (1, 36, "p5.4xlarge", 6.88),
        (4, 36, "p5.4xlarge", 4 * 6.88),
        (5, 36, "p5.48xlarge", 30.217),
        (6, 12, "p5.4xlarge", 6 * 6.88),
        (7, 12, "p5.48xlarge", 43.3715),
        (9, 36, "p5.48xlarge", 2 * 30.217),
        (9, 6, "p5.4xlarge", 9 * 6.88),
    ],
)
def test_at_aws_by_hand(loaded: LoadedScenario, replicas: int, months: int, instance: str, usd_per_hour: float) -> None:
    """One GPU is $6.88 an hour on demand alone; eight are $43.37 for a year and $30.22 for three, paid to the end."""
    pool = Pool.model_validate(
        {"name": "p", "site": "aws-us-east", "gpu": "h100-sxm", "commitments": "auto", "replicas": replicas}
    )
    assert chosen(loaded, pool, months).instance == instance
    assert min(by_hand("aws-us-east", "h100-sxm", 1, replicas, months))[0] == pytest.approx(usd_per_hour)


def test_a_schedule_is_weighed_by_its_hours(loaded: LoadedScenario) -> None:
    """Eight for 40 hours of 168: on eight GPUs at $30.22, 8 · 6.88 · 40 / 168 = $13.10; for 112 hours it is $36.69."""
    for hours, instance in (("9-17", "p5.4xlarge"), ("4-24", "p5.48xlarge")):
        days = "mon-fri" if hours == "9-17" else "mon-sun"
        window = {"days": days, "hours": hours, "replicas": 8}
        pool = Pool.model_validate(
            {"name": "p", "site": "aws-us-east", "gpu": "h100-sxm", "commitments": "auto"}
            | {"replicas": 0, "schedule": [window]}
        )
        assert chosen(loaded, pool, 36).instance == instance


def test_a_written_instance_a_price_of_ones_own_and_a_job_stay(loaded: LoadedScenario) -> None:
    base = {"name": "p", "site": "aws-us-east", "gpu": "h100-sxm", "replicas": 8}
    for given in (
        {"commitments": "auto", "instance": "p5.4xlarge"},
        {"commitments": "auto", "gpus_per_instance": 1},
        {"commitments": [{"term_months": 12, "price_usd_per_gpu_hour": 2}]},
        {"commitments": "auto", "billing": "reserved_1y"},
        {},
    ):
        pool = Pool.model_validate(base | given)
        assert chosen(loaded, pool, 36) == pool


def test_a_list_of_the_catalogs_terms_is_on_instances_that_are_sold_under_all_of_them(tmp_path: Path) -> None:
    terms = "commitments: [{term_months: 12, instances: 1}, {term_months: 36, instances: 1}]"
    (rented,) = resolve(tmp_path, pools(f"{{{RENTED}, {terms}}}")).terms.rented
    assert rented.gpus_per_instance == 8
    assert [one.usd_per_instance_hour for one in rented.commitments] == pytest.approx([43.3715, 30.217])
    words = refused(tmp_path, pools(f"{{{RENTED}, gpus_per_instance: 1, {terms}}}"))
    assert "no term of 12 months of h100-sxm in instances of 1 at aws-us-east: p5.48xlarge has some" in words


@pytest.mark.parametrize(
    ("replicas", "usd", "told"),
    [(1, 6.88, True), (8, 30.217, False)],
)
def test_a_run_pays_what_the_cheapest_instances_cost(tmp_path: Path, replicas: int, usd: float, told: bool) -> None:
    mine = (
        "t: {pools: [{name: p, site: aws-us-east, gpu: h100-sxm, commitments: auto, storage_gb: 0, "
        f"egress_usd_per_gb: 0, replicas: {replicas}}}]}}"
    )
    loaded = written(tmp_path, chat(mine, study="months: 36", rate_rps=2, horizon_s=30, warmup_s=5))
    found = simulate(loaded, None).summary["topologies"]["t"]
    assert found["cost"]["usd_per_month"] == pytest.approx(730 * usd)
    words = " ".join(row["text"] for row in found["warnings"])
    assert ("p commits to nothing: p5.4xlarge, which is sold under no term" in words) == told
