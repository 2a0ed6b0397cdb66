"""Formats of weights and KV cache by name."""

from __future__ import annotations

from functools import lru_cache

from simulator.catalog.quantity import Entry, Quantity, read_yaml
from simulator.errors import InputError, unknown_name
from simulator.perf.device import Layout, Precision, Split


class WeightFormat(Entry):
    """A weight format: bytes per weight, and the precision that its matrix products compute in."""

    title: str
    weight_bytes: Quantity
    compute: str
    experts_only: bool = False


@lru_cache
def precisions() -> dict[str, WeightFormat]:
    """All weight formats by name."""
    return {name: WeightFormat(**fields) for name, fields in read_yaml("precisions.yaml")["weights"].items()}


@lru_cache
def kv_formats() -> dict[str, Quantity]:
    """Bytes per KV value by name of the format."""
    return {name: Quantity(**fields) for name, fields in read_yaml("precisions.yaml")["kv_cache"].items()}


@lru_cache
def aliases() -> dict[str, str]:
    """Other names of weight formats, as `awq` for `int4`."""
    return {str(alias): str(name) for alias, name in read_yaml("precisions.yaml")["aliases"].items()}


def layout(
    dtype: str = "bf16",
    kv_dtype: str = "auto",
    *,
    tp: int = 1,
    pp: int = 1,
    expert_parallel: bool = False,
    dp: int = 1,
    redundant_experts: int = 0,
    all_to_all: bool = False,
) -> Layout:
    """Layout of a replica from the names of its formats; a `kv_dtype` of `auto` is bf16, the activations' format.

    Raises
    ------
    InputError : a format that is not in the catalog
    """
    asked, dtype = dtype, aliases().get(dtype, dtype)
    if dtype not in precisions():
        raise InputError(unknown_name("dtype", dtype, [*precisions(), *aliases()]))
    kv_name = "bf16" if kv_dtype == "auto" else aliases().get(kv_dtype, kv_dtype)
    if kv_name not in kv_formats():
        raise InputError(unknown_name("kv_dtype", kv_dtype, ["auto", *kv_formats()]))
    weights = precisions()[dtype]
    return Layout(
        weights=Precision(
            *(dtype, weights.weight_bytes.value, weights.compute, weights.experts_only),
            alias="" if asked == dtype else asked,
        ),
        kv_value_bytes=kv_formats()[kv_name].value,
        split=Split(tp, pp, dp, expert_parallel, redundant_experts, all_to_all),
    )
