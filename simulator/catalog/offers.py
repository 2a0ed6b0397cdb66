"""Dated prices of rented GPUs, by site, GPU and tier."""

from __future__ import annotations

import csv
from functools import lru_cache
from typing import Literal

from simulator.catalog.gpus import gpu
from simulator.catalog.quantity import DATA, Entry
from simulator.catalog.sites import site
from simulator.errors import InputError, Problem, unknown_name

Tier = Literal["on_demand", "reserved_1y", "reserved_3y", "spot"]
TIERS: tuple[Tier, ...] = ("on_demand", "reserved_1y", "reserved_3y", "spot")


class GpuOffer(Entry):
    """One price of one GPU at one site on one day.

    Attributes
    ----------
    term_months, upfront_fraction : commitment, and the share of the term's price paid at the start
    cost_entry : the cost figure that it comes from
    """

    site: str
    gpu: str
    tier: Tier
    usd_per_gpu_hour: float
    term_months: int
    upfront_fraction: float
    as_of: str
    source: str
    source_url: str
    confidence: Literal["A", "B", "C"]
    kind: Literal["sourced", "derived", "estimate"]
    cost_entry: str
    note: str


@lru_cache
def gpu_offers() -> tuple[GpuOffer, ...]:
    """All offers, older prices of the same thing included."""
    with (DATA / "gpu_offers.csv").open(encoding="utf-8", newline="") as file:
        return tuple(GpuOffer.model_validate(row) for row in csv.DictReader(file))


def gpu_offer(site_name: str, gpu_name: str, tier: str = "on_demand") -> GpuOffer:
    """The latest price of that GPU at that site in that tier; an undated one counts as oldest.

    Raises
    ------
    InputError : an unknown name, or nobody offers it, with what the site does offer and who else has the GPU
    """
    if tier not in TIERS:
        raise InputError(unknown_name("tier", tier, TIERS))
    site_key, gpu_key = site(site_name).name, gpu(gpu_name).name
    found = [o for o in gpu_offers() if (o.site, o.gpu, o.tier) == (site_key, gpu_key, tier)]
    if not found:
        here = sorted({f"{o.gpu} {o.tier}" for o in gpu_offers() if o.site == site_key})
        elsewhere = sorted({o.site for o in gpu_offers() if o.gpu == gpu_key and o.tier == tier})
        raise InputError(
            Problem(
                f"no {tier} offer of {gpu_key} at {site_key}; it offers {', '.join(here) or 'no GPUs'}; "
                f"{gpu_key} {tier} is at {', '.join(elsewhere) or 'no site'}"
            )
        )
    return max(found, key=lambda offer: (offer.as_of[0].isdigit(), offer.as_of))
