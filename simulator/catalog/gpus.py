"""GPUs by name, with the constants of the step-time model and the power curve."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from simulator.catalog.costs import cost_entry
from simulator.catalog.precisions import precisions
from simulator.catalog.quantity import Entry, Quantity, read_yaml
from simulator.errors import MOST_MEANT, InputError, unknown_name
from simulator.perf.device import Coefficients, Device
from simulator.perf.power import PowerCurve

SERVING_POWER = "power.h100_serving_w"
"""Cost figure of the power in serving that was fitted for all batch sizes."""
BARE_IDLE_POWER = "power.h100_bare_idle_w"
"""Cost figure of its power without a model."""
MEASURED_POWER_GPU = "h100-sxm"
"""GPU of that figure; where nothing was measured on another GPU, it is scaled by board power."""


class Relative(Entry):
    """What stands in for the kernels of a GPU that was not measured.

    Attributes
    ----------
    kernels, links : GPUs with a profile: shares of the peaks and launch times are kept, peaks are the GPU's own
    multiprocessors : of the GPU itself
    """

    kernels: str
    links: str
    multiprocessors: int


class Gpu(Entry):
    """One GPU as its datasheet and node describe it; `peaks` has only the precisions that it computes in.

    Attributes
    ----------
    relative : GPUs whose kernels and links stand in; None where this one has a profile of its own
    server_price_entry : cost figure of a server with `gpus_per_node` of them; None where no price is known
    power : in W, `idle` with a model loaded, `low` at batch size 1 and `high` at large ones, and `bare` without a model
        where it is known; what was not measured on this GPU is an estimate scaled by board power
    """

    name: str
    title: str
    relative: Relative | None = None
    server_price_entry: str | None = None
    memory: Quantity
    bandwidth: Quantity
    peaks: dict[str, Quantity]
    board_power: Quantity
    power: dict[str, Quantity]
    gpus_per_node: Quantity
    intra_node: Quantity
    inter_node: Quantity
    gemm_efficiency: dict[str, Quantity]
    step_time: dict[str, Quantity]

    @property
    def device(self) -> Device:
        """The figures that the step-time and memory models need."""
        return Device(
            name=self.name,
            memory_bytes=self.memory.value,
            bandwidth_bytes_per_s=self.bandwidth.value,
            peak_flops={precision: peak.value for precision, peak in self.peaks.items()},
            intra_node_bytes_per_s=self.intra_node.value,
            inter_node_bytes_per_s=self.inter_node.value,
            gpus_per_node=int(self.gpus_per_node.value),
            precisions=tuple(name for name, entry in precisions().items() if entry.compute in self.peaks),
        )

    @property
    def coefficients(self) -> Coefficients:
        """Achieved shares of the peaks and overheads; estimates unless a profile was measured."""
        gemm = {precision: quantity.value for precision, quantity in self.gemm_efficiency.items()}
        return Coefficients(gemm_efficiency=gemm, **{name: figure.value for name, figure in self.step_time.items()})

    @property
    def power_is_estimate(self) -> bool:
        """Whether the power in serving is not measured on this GPU."""
        return self.power["low"].kind == "estimate"

    @property
    def power_curve(self) -> PowerCurve:
        """Power in serving and with an idle model loaded."""
        curve = cost_entry(SERVING_POWER)
        return PowerCurve(
            idle_w=self.power["idle"].value,
            low_w=self.power["low"].value,
            span_w=self.power["high"].value - self.power["low"].value,
            steepness=curve.number("logistic_k"),
            midpoint_log2=curve.number("logistic_x0"),
        )


@lru_cache
def gpus() -> dict[str, Gpu]:
    """All GPUs by name."""
    constants, cards = read_yaml("step_time.yaml"), read_yaml("gpus.yaml")["gpus"]
    reference_w = cards[MEASURED_POWER_GPU]["board_power"]["value"]
    return {
        name: Gpu.model_validate(
            {"name": name}
            | fields
            | _constants(constants, name)
            | {"power": _power(name, fields["board_power"]["value"] / reference_w) | fields.get("power", {})}
        )
        for name, fields in cards.items()
    }


def _power(name: str, scale: float) -> dict[str, Quantity]:
    """Figures of the measured GPU times `scale`."""
    serving, bare, context = (cost_entry(entry) for entry in (SERVING_POWER, BARE_IDLE_POWER, "power.context_w"))
    idle = bare.number() + context.number("hbm")
    own = name == MEASURED_POWER_GPU
    values = {"idle": idle, "low": serving.number("batch1"), "high": serving.number("batch128")}
    return {
        part: Quantity(
            value=scale * value,
            unit="W",
            kind="sourced" if own and part != "idle" else "estimate",
            source=bare.source if part == "idle" else serving.source,
            url=bare.url if part == "idle" else serving.url,
            date=bare.date if part == "idle" else serving.date,
            note="" if own else f"of {MEASURED_POWER_GPU}, scaled by board power",
        )
        for part, value in values.items()
    }


def _constants(data: dict[str, Any], name: str) -> dict[str, Any]:
    """Constants of the step-time model: the defaults, overridden by what is known of the GPU called `name`."""
    own = data["gpus"].get(name, {})
    return {group: defaults | own.get(group, {}) for group, defaults in data["default"].items()}


def gpu_called(text: str) -> str:
    """Catalog name of a GPU as torch and nvidia-smi print it, as `NVIDIA H100 80GB HBM3`, or as people call that one
    alone; the text itself where that is no such name."""
    if text.lower() in gpus():
        return text.lower()
    data = read_yaml("gpus.yaml")
    words = [word for word in re.split(r"[^a-z0-9]+", text.lower()) if word and word not in data["makers"]]
    plain = "-".join(words)
    found = str(data["called"].get(plain, plain))
    return found if found in gpus() else text


_ANOTHER = (
    "another accelerator is its nearest relative of these with what differs in 'hardware', and its speed in "
    "'engine.throughput' where that is known"
)


def gpu(name: str) -> Gpu:
    """GPU called `name`, as `h100-sxm`.

    Raises
    ------
    InputError : no such GPU
    """
    if name.lower() not in gpus():
        titled = [one for one in gpus() if _words(name) <= _words(f"{one} {gpus()[one].title}")]
        if 0 < len(titled) <= MOST_MEANT and not any(one.startswith(name.lower()) for one in gpus()):
            raise InputError(f"unknown GPU {name!r}: did you mean {' or '.join(map(repr, titled))}?")
        text = unknown_name("GPU", name, gpus())
        raise InputError(text if "did you mean" in text else f"{text}; {_ANOTHER}")
    return gpus()[name.lower()]


def _words(name: str) -> set[str]:
    """Of a product's name: `dgx-spark` has those of `NVIDIA GB10 (DGX Spark) 128 GB`."""
    return set(re.findall(r"[a-z0-9]+", re.sub(r"(\d) gb\b", r"\1gb", name.lower())))
