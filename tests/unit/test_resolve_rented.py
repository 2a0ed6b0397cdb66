"""Rented instances as they are sold: whole ones, terms of commitments, prices of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from terms_cases import RENTED, pools, refused, resolve


def test_instances_are_paid_whole_and_committed_by_number(tmp_path: Path) -> None:
    (rented,) = resolve(tmp_path, pools(f"{{{RENTED}, tensor_parallel_size: 4}}")).terms.rented
    assert rented.gpus_per_instance == 8
    assert rented.usd_per_instance_hour == (pytest.approx(55.04),)
    assert (rented.minimum_s, rented.granularity_s) == (60, 1)
    assert rented.commitments == ()
    reserved = f"{RENTED}, tensor_parallel_size: 4, replicas: 3, billing: reserved_1y"
    (rented,) = resolve(tmp_path, pools(f"{{{reserved}}}")).terms.rented
    (commitment,) = rented.commitments
    assert (commitment.instances, commitment.term_months) == (2, 12)
    assert commitment.usd_per_instance_hour == pytest.approx(43.3715)
    assert rented.usd_per_instance_hour == (pytest.approx(55.04),)
    (rented,) = resolve(tmp_path, pools(f"{{{reserved}, commitments: auto}}")).terms.rented
    (commitment,) = rented.commitments
    assert commitment.instances is None


def test_a_replica_over_several_instances_takes_whole_ones(tmp_path: Path) -> None:
    wide = f"{RENTED}, tensor_parallel_size: 8, pipeline_parallel_size: 2, replicas: 3, billing: reserved_1y"
    (rented,) = resolve(tmp_path, pools(f"{{{wide}}}")).terms.rented
    (commitment,) = rented.commitments
    assert commitment.instances == 6


def test_terms_of_ones_own_need_no_offer_of_the_catalog(tmp_path: Path) -> None:
    own = (
        "{name: rented, site: azure-us-east, gpu: h100-sxm, billing: reserved, term_months: 60, upfront_share: 0.5, "
        "commitments: 3, gpus_per_instance: 4, price_usd_per_gpu_hour: 1.5, on_demand_usd_per_gpu_hour: 4, "
        "billing_minimum_s: 3600, price_source: a quote, price_date: 2026-11-20}"
    )
    found = resolve(tmp_path, pools(own))
    (rented,) = found.terms.rented
    (commitment,) = rented.commitments
    assert (commitment.usd_per_instance_hour, commitment.term_months) == (6.0, 60)
    assert (commitment.instances, commitment.upfront_share) == (3, 0.5)
    assert rented.usd_per_instance_hour == (16.0,)
    assert rented.minimum_s == 3600
    (price,) = [figure for figure in found.figures if figure.id.endswith(".price_usd_per_gpu_hour")]
    assert (price.value, price.kind, price.source, price.date) == (1.5, "given", "a quote", "2026-11-20")
    assert price.place.endswith("terms.yaml:17:186")


def test_a_dated_price_of_ones_own_grows_old(tmp_path: Path) -> None:
    price = "price_usd_per_gpu_hour: 2, price_source: a quote"
    old, fresh, undated = (
        resolve(tmp_path, pools(f"{{{RENTED}, {price}{day}}}")).stale
        for day in (", price_date: 2024-01-31", ", price_date: 2026-11-20", "")
    )
    own = [[figure.id for figure in found if figure.kind == "given"] for found in (old, fresh, undated)]
    assert own == [["topologies.one.pools[0].price_usd_per_gpu_hour"], [], []]


def test_capacity_blocks_are_paid_by_whole_days(tmp_path: Path) -> None:
    found = resolve(tmp_path, pools(f"{{{RENTED}, tensor_parallel_size: 8, billing: capacity_block}}"))
    (terms,) = found.terms.rented
    assert terms.usd_per_instance_hour == pytest.approx((8 * 5.97,))
    assert (terms.minimum_s, terms.granularity_s) == (86_400, 86_400)
    (usual,) = resolve(tmp_path, pools(f"{{{RENTED}, tensor_parallel_size: 8}}")).terms.rented
    assert (usual.minimum_s, usual.granularity_s) == (60, 1)


def test_several_commitments_and_the_rest_on_demand(tmp_path: Path) -> None:
    mix = (
        "commitments: [{term_months: 36, instances: 2}, {term_months: 12}, {term_months: 6, price_usd_per_gpu_hour: 2}]"
    )
    eight = f"{RENTED}, instance: p5.48xlarge"
    (rented,) = resolve(tmp_path, pools(f"{{{eight}, {mix}}}")).terms.rented
    long, year, own = rented.commitments
    assert [(one.term_months, one.instances) for one in rented.commitments] == [(36, 2), (12, None), (6, None)]
    assert long.usd_per_instance_hour < year.usd_per_instance_hour < rented.usd_per_instance_hour[0]
    assert own.usd_per_instance_hour == 2.0 * rented.gpus_per_instance
    (every,) = resolve(tmp_path, pools(f"{{{eight}, commitments: auto}}")).terms.rented
    assert [(one.term_months, one.instances) for one in every.commitments] == [(12, None), (36, None)]


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ("commitments: [{term_months: 7}]", "'price_usd_per_gpu_hour' is missing: the catalog has no term of 7 months"),
        ("commitments: [{term_months: 12}, {term_months: 12, instances: 1}]", "another commitment has the same term"),
        ("billing: reserved_1y, commitments: [{term_months: 36}]", "a list of them needs billing on_demand"),
        ("billing: spot, commitments: auto", "commitments: needs billing reserved_1y"),
        ("commitments: [{instances: 2}]", "commitments[0]: 'term_months' is missing"),
        ("commitments: [{term_months: 12, months: 3}]", "commitments[0].months: unknown key 'months'"),
        ("commitments: some", "commitments: "),
        (
            "commitments: auto, instance: p5.4xlarge",
            "no term of h100-sxm in instances of 1 at aws-us-east: p5.48xlarge has some ('gpus_per_instance: 8'), or",
        ),
    ],
)
def test_commitments_that_cannot_be_are_refused_at_their_place(tmp_path: Path, terms: str, words: str) -> None:
    assert words in refused(tmp_path, pools(f"{{{RENTED}, {terms}}}"))
