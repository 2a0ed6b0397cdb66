"""Rented instances as they are sold: the scenario's own prices and terms, for the rest the catalog's offer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import NoReturn

import numpy as np

from simulator.catalog.gpus import gpu
from simulator.catalog.offers import GpuOffer, gpu_offer, gpu_offers, instances_for, instances_held
from simulator.catalog.quantity import Quantity
from simulator.catalog.sites import site
from simulator.errors import InputError, Problem, unknown_name
from simulator.resolve.carbon import carbon_by_hour
from simulator.resolve.credits import credits_of
from simulator.resolve.engines import PlannedEngine
from simulator.resolve.figures import Figures
from simulator.resolve.places import place_of
from simulator.scenario.money_checks import NAMED_TERMS
from simulator.scenario.week import week_spans
from simulator.schema.money import GpuVolumePriceSettings
from simulator.schema.pool import Pool, QueueAutoscaler
from simulator.study.contract import AS_LISTED, Volume, VolumeStep
from simulator.study.figure import Figure
from simulator.study.terms import Money, RentedTerms
from simulator.units import SECONDS_PER_WEEK

_BYTES_PER_GB = 1e9
UNIT = "USD per GPU-hour"
_FREE = {"from_launch": (), "from_ready": ("starting",), "while_busy": ("starting", "idle", "down")}
"""States of a replica in which nothing is paid, by what is billed."""


def is_reserved(pool: Pool) -> bool:
    """Whether a pool's instances are under commitment."""
    return pool.billing.startswith("reserved")


def catalog_tier(pool: Pool) -> str | None:
    """Tier of the catalog's offers that a pool's billing is; None for terms that the catalog does not have."""
    if pool.billing != "reserved":
        return pool.billing
    return named_term(pool.term_months)


def named_term(months: int | None) -> str | None:
    """Tier of the catalog's offers that is a term of so many months; None for terms without a name."""
    return next((tier for tier, length in NAMED_TERMS.items() if length == months), None)


def catalog_offer(pool: Pool, tier: str | None) -> GpuOffer | None:
    """The catalog's offer for a pool, of an instance of the size that it names; None where it has none."""
    if tier is None:
        return None
    try:
        return _look_up(pool, tier)
    except InputError:
        return None


def _look_up(pool: Pool, tier: str) -> GpuOffer:
    """The instances that hold the pool for least, with the replicas that it has at its times."""
    return offer_for(pool, tier, replica_shares(pool))


def offer_for(pool: Pool, tier: str, shares: Mapping[int, float]) -> GpuOffer:
    """The instances that hold a pool for least with so many replicas, each number for a share of the time.

    A pipeline stage stays within one.

    Raises
    ------
    InputError : nobody offers them
    """
    return gpu_offer(
        *(pool.site, pool.gpu, tier),
        gpus=pool.tensor_parallel_size,
        replicas=stages(pool, shares),
        instance=pool.instance,
        size=pool.gpus_per_instance,
        is_own_price=own_price(pool) is not None,
        kept=partial(committed_instances, pool) if is_reserved(pool) else None,
    )


def held_usd_per_hour(pool: Pool, offer: GpuOffer, shares: Mapping[int, float]) -> float:
    """What such instances cost an hour on average, with replicas as `offer_for` takes them."""
    own, size = own_price(pool), offer.gpus_per_instance
    usd = offer.usd_per_instance_hour if own is None else own * size
    return usd * instances_needed(pool, size, shares)


def instances_needed(pool: Pool, size: int, shares: Mapping[int, float], least: int = 0) -> float:
    """Instances of so many GPUs that are paid for on average, `least` of them whenever a replica is there."""
    return instances_held(pool.tensor_parallel_size, stages(pool, shares), size, least)


def stages(pool: Pool, shares: Mapping[int, float]) -> dict[int, float]:
    """The same in pipeline stages, each of which stays within an instance."""
    return {max(n * pool.pipeline_parallel_size, 1): share for n, share in shares.items()}


def own_price(pool: Pool) -> float | None:
    """The pool's own USD per GPU-hour, of prices by the hour their mean; None for the catalog's."""
    by_hour = pool.price_by_hour_usd_per_gpu_hour
    return pool.price_usd_per_gpu_hour if by_hour is None else math.fsum(by_hour) / len(by_hour)


def replica_shares(pool: Pool) -> dict[int, float]:
    """Numbers of replicas of a pool, and the share of the time that it has each.

    A schedule says so; of an autoscaler half of the time is taken for its fewest, half for its most. Numbers and hours
    that are open count for nothing; where all are, for one replica.
    """
    scaler, most = pool.autoscaler, most_replicas(pool)
    if isinstance(scaler, QueueAutoscaler) and isinstance(scaler.min, int) and scaler.min < most:
        return {scaler.min: 0.5, most: 0.5}
    if not pool.schedule or any(window.is_open for window in pool.schedule):
        return {most: 1.0}
    found: dict[int, float] = {}
    for window in pool.schedule:
        share = math.fsum(end_s - start_s for start_s, end_s in week_spans(window)) / SECONDS_PER_WEEK
        if isinstance(window.replicas, int):
            found[window.replicas] = found.get(window.replicas, 0.0) + share
    outside = max(1.0 - math.fsum(found.values()), 0.0)
    if isinstance(pool.replicas, int):
        found[pool.replicas] = found.get(pool.replicas, 0.0) + outside
    found = {n: share for n, share in found.items() if n and share}
    return found or {most: 1.0}


def _sold_smaller(pool: Pool, tier: str) -> bool:
    """Whether the site has the GPU in that tier, in whatever number."""
    try:
        gpu_offer(pool.site, pool.gpu, tier)
    except InputError:
        return False
    return True


def most_replicas(pool: Pool) -> int:
    """Most replicas that a pool has at once; 1 where its size is open."""
    scaler = pool.autoscaler
    sizes = [scaler.max] if isinstance(scaler, QueueAutoscaler) else [pool.replicas]
    sizes += [window.replicas for window in pool.schedule]
    return max((size for size in sizes if isinstance(size, int)), default=1)


def committed_instances(pool: Pool, size: int) -> int:
    """Instances of so many GPUs that a reserved pool commits to: as many as are given, else those of its replicas at
    the start, of an autoscaler its fewest; none while that is open, or where the cheapest mix is asked for.
    """
    if pool.commitments is not None:
        return pool.commitments if isinstance(pool.commitments, int) else 0
    scaler = pool.autoscaler
    at_start = scaler.min if isinstance(scaler, QueueAutoscaler) else pool.replicas
    gpus = pool.tensor_parallel_size * pool.pipeline_parallel_size
    return instances_for(gpus, at_start, size) if isinstance(at_start, int) else 0


def check_instance(pool: Pool) -> None:
    """Refuse an instance of another card, and one that cannot hold a TP group.

    Raises
    ------
    InputError : at the key of the pool
    """
    if pool.instance is not None:
        sold = {offer.instance: offer for offer in gpu_offers() if offer.site == site(pool.site).name}
        if pool.instance not in sold:
            raise InputError(Problem(unknown_name(f"instance of {pool.site}", pool.instance, sold), path="instance"))
        offer = sold[pool.instance]
        if offer.gpu != gpu(pool.gpu).name:
            raise InputError(
                Problem(f"{offer.instance} has {offer.gpu}, not the {gpu(pool.gpu).name} of this pool", path="instance")
            )
    size = gpus_per_instance(pool)
    card = gpu(pool.gpu)
    if size < pool.tensor_parallel_size and card.inter_node.value < card.intra_node.value:
        key = "gpus_per_instance" if pool.gpus_per_instance is not None else "instance" if pool.instance else "billing"
        text = f"an instance with {size} GPUs cannot hold tensor_parallel_size {pool.tensor_parallel_size}"
        raise InputError(Problem(text, path=key, got=str(getattr(pool, key))))


def gpus_per_instance(pool: Pool) -> int:
    """GPUs of the instance that a pool is sold on: its own word, the catalog's, else one by one."""
    if pool.gpus_per_instance is not None:
        return pool.gpus_per_instance
    named = [offer for offer in gpu_offers() if offer.instance == pool.instance]
    if named:
        return named[0].gpus_per_instance
    offer = catalog_offer(pool, catalog_tier(pool)) or catalog_offer(pool, "on_demand")
    return offer.gpus_per_instance if offer is not None else pool.tensor_parallel_size


def rented_terms(pool: Pool, path: str, engine: PlannedEngine, figures: Figures, grid_zone: str = "") -> RentedTerms:
    """Terms of a rented pool but for its commitments: its own price or the latest dated offer; traffic and storage.

    A site whose price of traffic or storage is not known charges none; `unknown_prices` names them.

    Parameters
    ----------
    grid_zone : of the site, as `RentedTerms` has it

    Raises
    ------
    InputError : no price is known; an instance of another card, or too small; a term that its billing does not have
    """
    check_instance(pool)
    size = gpus_per_instance(pool)
    price = price_of(pool, path, figures)
    place = place_of(pool)
    egress, storage = (
        figures.given(f"{path}.{key}", own, unit)
        if own is not None
        else figures.of(quantity, f"{place.name}.{key}")
        if quantity is not None
        else None
        for key, own, quantity, unit in (
            ("egress_usd_per_gb", pool.egress_usd_per_gb, place.egress, "USD per GB"),
            ("storage_usd_per_gb_month", pool.storage_usd_per_gb_month, place.storage, "USD per GB-month"),
        )
    )

    def billed(key: str, own: float | None, quantity: Quantity | None) -> float:
        """Seconds of the pool's own word, else of the site's; 0 where nothing is known."""
        if own is not None:
            return figures.given(f"{path}.billing_{key}_s", own, "s")
        return 0.0 if quantity is None else float(np.mean(figures.of(quantity, f"{place.name}.billing_{key}")))

    is_block = pool.billing == "capacity_block" and place.block_granularity is not None
    minimum = place.block_granularity if is_block else place.billing_minimum
    granularity = place.block_granularity if is_block else place.billing_granularity
    stored, free = pool.storage_gb, _FREE[pool.billed]
    above = _above(pool, path, size, price, figures) if is_reserved(pool) else price
    volume, least_usd = pool.volume_prices, pool.minimum_usd_per_month
    return RentedTerms(
        pool=pool.name,
        site=place.name,
        tier=pool.billing,
        gpus_per_instance=size,
        usd_per_instance_hour=tuple(usd * size for usd in above),
        minimum_s=0.0 if free else billed("minimum", pool.billing_minimum_s, minimum),
        granularity_s=0.0 if free else billed("granularity", pool.billing_granularity_s, granularity),
        free=free,
        gpu=gpu(pool.gpu).name,
        egress_usd_per_gb=0.0 if egress is None else egress,
        egress_bytes_per_output_token=0.0 if egress is None else figures("egress.bytes_per_output_token"),
        pue=1.0 if place.pue is None else place.pue.value,
        co2_kg_per_kwh=carbon_by_hour(place),
        grid_zone=grid_zone,
        minimum_usd_per_month=figures.given(f"{path}.minimum_usd_per_month", least_usd, "USD") if least_usd else 0.0,
        volume=AS_LISTED if volume is None else _volume(volume, f"{path}.volume_prices.steps", figures),
        credits=credits_of(pool.service_credits or (), f"{path}.service_credits", figures),
        storage_usd_per_gb_month=0.0 if storage is None else storage,
        storage_gb=0.0
        if storage is None
        else engine.memory.plan.one_copy_bytes / _BYTES_PER_GB + figures("storage.image_gb")
        if stored is None
        else figures.given(f"{path}.storage_gb", stored, "GB"),
    )


def _volume(said: GpuVolumePriceSettings, path: str, figures: Figures) -> Volume:
    steps = []
    for k, step in enumerate(said.steps):
        above, place = step.above_gpu_hours_per_month, f"{path}[{k}]"
        figures.given(f"{place}.above_gpu_hours_per_month", above, "GPU-hours per month")
        factor = figures.given(f"{place}.price_factor", step.price_factor, "of the price of a GPU-hour")
        steps.append(VolumeStep(above, factor))
    return Volume(tuple(steps), said.mode == "all_hours")


def unknown_prices(pool: Pool) -> list[str]:
    """What a rented pool is not charged for because its site's price is not known, as `egress at lambda`."""
    place = site(pool.site)
    known = {
        "egress": pool.egress_usd_per_gb is not None or place.egress is not None,
        "storage": pool.storage_gb == 0 or pool.storage_usd_per_gb_month is not None or place.storage is not None,
    }
    return [f"{name} at {place.name}" for name, is_known in known.items() if not is_known]


def price_of(pool: Pool, path: str, figures: Figures) -> tuple[Money, ...]:
    """USD per GPU-hour of the pool's billing: one, or 24."""
    if pool.price_by_hour_usd_per_gpu_hour is not None:
        by_hour = pool.price_by_hour_usd_per_gpu_hour
        mean = math.fsum(by_hour) / len(by_hour)
        figures.given(f"{path}.price_by_hour_usd_per_gpu_hour", mean, UNIT, *_said(pool))
        return by_hour
    if pool.price_usd_per_gpu_hour is not None:
        return (figures.given(f"{path}.price_usd_per_gpu_hour", pool.price_usd_per_gpu_hour, UNIT, *_said(pool)),)
    tier = catalog_tier(pool)
    offer = catalog_offer(pool, tier)
    if offer is None:
        _refuse_without_price(pool, tier)
    figures.note(figure_of(offer))
    return (offer.usd_per_gpu_hour,)


def _refuse_without_price(pool: Pool, tier: str | None) -> NoReturn:
    """Say why there is no price: terms of one's own, or an offer that the catalog does not have."""
    if tier is not None:
        try:
            _look_up(pool.model_copy(update={"gpus_per_instance": None}), tier)
        except InputError as error:
            hint = "; a price of one's own is price_usd_per_gpu_hour"
            key = "tensor_parallel_size" if _sold_smaller(pool, tier) else "gpu"
            raise InputError(*(Problem(f"{problem.message}{hint}", path=key) for problem in error.problems)) from error
    what = f"a term of {pool.term_months} months" if tier is None else f"an instance with {pool.gpus_per_instance} GPUs"
    key = "billing" if tier is None else "gpus_per_instance"
    text = f"'price_usd_per_gpu_hour' is missing: the catalog has no price of {what} at {site(pool.site).name}"
    raise InputError(Problem(text, path=key, got=str(getattr(pool, key))))


def above_commitments(pool: Pool, size: int) -> float | GpuOffer | None:
    """What is paid above commitments on instances of so many GPUs: the pool's own price, the catalog's offer of these,
    else of others; None: what is paid under them.
    """
    own = pool.on_demand_usd_per_gpu_hour
    if own is not None:
        return own
    alike = pool.model_copy(update={"gpus_per_instance": size})
    return catalog_offer(alike, "on_demand") or catalog_offer(pool, "on_demand")


def _above(pool: Pool, path: str, size: int, reserved: tuple[Money, ...], figures: Figures) -> tuple[Money, ...]:
    found = above_commitments(pool, size)
    if found is None:
        return reserved
    if isinstance(found, GpuOffer):
        figures.note(figure_of(found))
        return (found.usd_per_gpu_hour,)
    return (figures.given(f"{path}.on_demand_usd_per_gpu_hour", found, UNIT),)


def _said(pool: Pool) -> tuple[str, str]:
    return pool.price_source or "", pool.price_date or ""


def figure_of(offer: GpuOffer) -> Figure:
    """The price of an offer, with its source and day."""
    return Figure(offer.name, offer.usd_per_gpu_hour, UNIT, offer.kind, offer.source, offer.date)
