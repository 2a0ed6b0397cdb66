"""Sites by name: what may go there, how far it is, how replicas start and fail there."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from simulator.catalog.costs import quantities
from simulator.catalog.quantity import Entry, Quantity, read_yaml
from simulator.errors import InputError, unknown_name

DataClass = Literal["public", "internal", "confidential", "restricted"]


class Site(Entry):
    """One place where replicas run or a provider answers.

    Attributes
    ----------
    perimeter : `inside` or `outside` the organisation's own
    data_classes : classes allowed there by default; all others are denied
    pue, electricity : ratio of facility to IT power; USD per kWh
    space : USD per kW-month of reserved power for servers of one's own
    grid : catalog grid that feeds it; None where it is not known
    network_one_way : delay between gateway and replica in s
    provision, image, load_rate : cold-start stages; weights load at `load_rate` bytes/s
    failures, repair : events per GPU-year; hours until the replica may start again
    spot_interval, spot_notice : mean hours between reclaims, seconds of notice
    unavailable : probability that a launch finds no capacity
    egress, storage : USD per GB that leaves the site; USD per GB-month of object storage
    billing_minimum, billing_granularity : each stay of an instance is billed for at least the one, in steps of the
        other
    block_granularity : the same for capacity blocks, their minimum too
    availability_sla : monthly uptime that the provider promises for one machine
    """

    name: str
    title: str
    kind: Literal["on_premises", "colocation", "cloud", "api"]
    perimeter: Literal["inside", "outside"]
    region: str
    data_classes: tuple[DataClass, ...]
    data_classes_note: str
    network_one_way: Quantity
    pue: Quantity | None = None
    space: Quantity | None = None
    grid: str | None = None
    electricity: Quantity | None = None
    provision: Quantity | None = None
    image: Quantity | None = None
    load_rate: Quantity | None = None
    failures: Quantity | None = None
    repair: Quantity | None = None
    spot_interval: Quantity | None = None
    spot_notice: Quantity | None = None
    unavailable: Quantity | None = None
    egress: Quantity | None = None
    storage: Quantity | None = None
    billing_minimum: Quantity | None = None
    billing_granularity: Quantity | None = None
    block_granularity: Quantity | None = None
    availability_sla: Quantity | None = None


def engine_start_s(weight_bytes: float) -> float:
    """Time from weights in memory to ready, in s: linear in the weights between two measured sizes, flat outside."""
    points = read_yaml("sites.yaml")["engine_start"]
    small, large = (quantities(points[size]) for size in ("small", "large"))
    span = large["weight_bytes"].value - small["weight_bytes"].value
    share = min(1.0, max(0.0, (weight_bytes - small["weight_bytes"].value) / span))
    return float(small["time"].value + share * (large["time"].value - small["time"].value))


@lru_cache
def sites() -> dict[str, Site]:
    """All sites by name."""
    return {name: Site(name=name, **quantities(raw)) for name, raw in read_yaml("sites.yaml")["sites"].items()}


def site(name: str) -> Site:
    """Site called `name`, as `aws-us-east`.

    Raises
    ------
    InputError : no such site
    """
    if name.lower() not in sites():
        raise InputError(unknown_name("site", name, sites()))
    return sites()[name.lower()]
