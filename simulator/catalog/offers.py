"""Dated prices of rented GPUs as they are sold: whole instances, by site, GPU and tier."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Literal

from simulator.catalog.gpus import gpu
from simulator.catalog.quantity import DATA, Entry, day_of
from simulator.catalog.sites import site
from simulator.errors import InputError, Problem, unknown_name

Tier = Literal["on_demand", "reserved_1y", "reserved_3y", "reserved_5y", "spot", "capacity_block"]
TIERS: tuple[Tier, ...] = ("on_demand", "reserved_1y", "reserved_3y", "reserved_5y", "spot", "capacity_block")


def offer_name(site: str, gpu: str, tier: str) -> str:
    """Name of an offer in listings and among the figures of a bill, as `aws-us-east/h100-sxm/on_demand`."""
    return f"{site}/{gpu}/{tier}"


class GpuOffer(Entry):
    """One price of one instance at one site on one day.

    Attributes
    ----------
    gpu : the card that the instance really has, by catalog name
    instance, gpus_per_instance : what is sold; one pays for whole instances
    machine : the instance in words: number, card, form factor, fabric
    term_months, upfront_fraction : commitment, and the share of the term's price paid at the start
    date : day of the price, or `unknown`, then of kind `estimate`
    """

    site: str
    gpu: str
    tier: Tier
    instance: str
    gpus_per_instance: int
    machine: str
    usd_per_instance_hour: float
    term_months: int
    upfront_fraction: float
    date: str
    kind: Literal["sourced", "derived", "estimate"]
    confidence: Literal["A", "B", "C"]
    source: str
    source_url: str
    note: str

    @property
    def name(self) -> str:
        """As `offer_name` has it."""
        return offer_name(self.site, self.gpu, self.tier)

    @property
    def usd_per_gpu_hour(self) -> float:
        """Price of the instance by GPU."""
        return self.usd_per_instance_hour / self.gpus_per_instance


@lru_cache
def gpu_offers() -> tuple[GpuOffer, ...]:
    """All offers, older prices of the same thing included."""
    with (DATA / "gpu_offers.csv").open(encoding="utf-8", newline="") as file:
        return tuple(GpuOffer.model_validate(row) for row in csv.DictReader(file))


def gpu_offer(
    site_name: str,
    gpu_name: str,
    tier: str = "on_demand",
    *,
    gpus: int = 1,
    replicas: int | Mapping[int, float] = 1,
    instance: str | None = None,
    size: int | None = None,
    is_own_price: bool = False,
    kept: Callable[[int], int] | None = None,
) -> GpuOffer:
    """The latest price of the instance that holds so many replicas for least, at that site, of that GPU, in that tier.

    Whole instances are paid for: on instances of g GPUs, r replicas of n take
    :math:`\\lceil r / \\lfloor g / n \\rfloor \\rceil` of them. Where two cost the same the smaller is taken; of one
    instance the price of the latest day counts, an undated one last.

    Parameters
    ----------
    gpus : GPUs of a replica, or of one of its pipeline stages, that stay within an instance; only cards whose fabric
        joins instances (GB200, GB300) spread over several
    replicas : how many of them have to be held; numbers that change, by the share of the time that each has
    instance, size : name of the instance, and its GPUs; any unless given
    is_own_price : a GPU costs the same on each instance, so the fewest GPUs are paid for
    kept : instances that are paid for however few are needed, by the GPUs of one

    Raises
    ------
    InputError : an unknown name; nobody offers it, with what the site does offer and who else has the GPU; no instance
        that holds a replica
    """
    if tier not in TIERS:
        raise InputError(unknown_name("tier", tier, TIERS))
    card = gpu(gpu_name)
    site_key, gpu_key = site(site_name).name, card.name
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
    sold = {offer.instance: offer for offer in sorted(found, key=lambda offer: day_of(offer.date))}
    if instance is not None and instance not in sold:
        raise InputError(unknown_name("instance", instance, sold))
    named = list(sold.values()) if instance is None else [sold[instance]]
    joined = card.inter_node.value == card.intra_node.value  # one fabric throughout the rack
    large = [offer for offer in named if joined or offer.gpus_per_instance >= gpus]
    large = [offer for offer in large if size in (None, offer.gpus_per_instance)]
    if not large:
        sizes = ", ".join(f"{offer.instance} with {offer.gpus_per_instance}" for offer in named)
        raise InputError(Problem(f"no instance at {site_key} holds {gpus} {gpu_key}: {sizes}", got=f"{gpus} GPUs"))

    shares = {replicas: 1.0} if isinstance(replicas, int) else replicas

    def cost(offer: GpuOffer) -> tuple[float, float, int, str]:
        each = offer.gpus_per_instance
        instances = instances_held(gpus, shares, each, kept(each) if kept else 0)
        paid = instances * offer.gpus_per_instance if is_own_price else 0.0
        return paid, instances * offer.usd_per_instance_hour, offer.gpus_per_instance, offer.instance

    return min(large, key=cost)


def instances_held(gpus: int, shares: Mapping[int, float], gpus_per_instance: int, least: int = 0) -> float:
    """Instances that are paid for on average, where numbers of replicas are there for a share of the time each."""
    return math.fsum(share * max(instances_for(gpus, n, gpus_per_instance), least) for n, share in shares.items())


def instances_for(gpus: int, replicas: int, gpus_per_instance: int) -> int:
    """Whole instances for so many replicas of `gpus` GPUs, each within one, or on whole ones where it is larger."""
    if gpus > gpus_per_instance:
        return replicas * math.ceil(gpus / gpus_per_instance)
    return math.ceil(replicas / (gpus_per_instance // gpus))
