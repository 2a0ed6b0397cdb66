"""What stands in where a GPU or a weight format was not measured."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from simulator.catalog.gpus import gpu
from simulator.catalog.precisions import precisions

SAME_UNITS = {"fp16": ("bf16",), "int8": ("fp8",)}
"""Formats whose products run on the units, and at the share of peak, of another format of the same GPU."""
MARLIN = "int4"
"""Format whose experts' table stands for the kernel of all weight-only formats."""
LINK_RULE = "all-reduce of {links}, bandwidths scaled by the links' peaks"
KERNEL_RULE = "kernels of {kernels}: shares of the published peaks and launch times kept, peaks and multiprocessors own"


def fill_formats(profiles: Mapping[str, dict[str, Any]], donors: Mapping[str, str]) -> None:
    """Give each measured GPU the formats it computes in but has no table of.

    8-bit integers take the shares of 8-bit floats, their twin on the same units. Weight-only formats take those of the
    GPU that `donors` names per kernel: products relative to its 16-bit record; experts as they are, since they run in
    one kernel (Marlin) whatever the GPU, while 16-bit experts are tuned on some GPUs and not on others. A weight-only
    format of experts that no table has takes the record of 4-bit integers, the same kernel.
    """
    for name, profile in profiles.items():
        for group, donor in donors.items():
            for form, entry in precisions().items():
                if entry.compute in gpu(name).peaks and form not in profile["kernels"][group]:
                    _fill_format(profile, group, form, donor, profiles[donor]["kernels"][group])
    for profile in profiles.values():
        _fill_marlin(profile)


def _fill_format(
    profile: dict[str, Any], group: str, form: str, donor: str, lent: Mapping[str, dict[str, float]]
) -> None:
    own = profile["kernels"][group]
    twin = next((each for each in SAME_UNITS.get(form, ()) if each in own), None)
    if twin is not None:
        own[form] = dict(own[twin])
        profile["stand_ins"][f"{group} {form}"] = f"{group} {twin} of the same GPU"
    elif form in lent and precisions()[form].compute == "bf16":
        if group == "experts":
            own[form] = {**lent[form], "launch_s": own["bf16"]["launch_s"]}
            rule = "shares of the published peaks kept, fixed time of its own bf16"
        else:
            own[form], rule = _relative(lent, form, own["bf16"]), "relative to its bf16"
        profile["stand_ins"][f"{group} {form}"] = f"{group} {form} of {donor}, {rule}"


def _fill_marlin(profile: dict[str, Any]) -> None:
    own = profile["kernels"]["experts"]
    if MARLIN in own and "w8a16" not in own:
        own["w8a16"] = dict(own[MARLIN])
        profile["stand_ins"]["experts w8a16"] = f"experts {MARLIN} of the same GPU"


def lend_sinks(profiles: Mapping[str, dict[str, Any]], fallback: Sequence[str], donor: str) -> None:
    """Give GPUs whose own attention kernel has no sinks (`fallback`) the donor's factor where none was measured."""
    for name in fallback:
        profile = profiles[name]
        if "sink_factor" not in profile["kernels"]:
            profile["kernels"]["sink_factor"] = profiles[donor]["kernels"]["sink_factor"]
            profile["stand_ins"]["attention sinks"] = f"Triton attention of {donor}, relative to its own attention"


def _relative(donor: Mapping[str, dict[str, float]], form: str, own: Mapping[str, float]) -> dict[str, float]:
    """The donor's record of `form`, its shares moved by what bf16 reaches here and there, at most the peak."""
    moved = dict(donor[form])
    for share in ("bandwidth_share", "compute_share"):
        moved[share] = min(1.0, moved[share] * own[share] / donor["bf16"][share])
    moved["launch_s"] = moved["launch_s"] * own["launch_s"] / donor["bf16"]["launch_s"]
    return moved


def fill_missing_kernels(profiles: Mapping[str, dict[str, Any]], groups: Mapping[str, str]) -> None:
    """Give each measured GPU the kernels without a table of its own, from the GPU that `groups` names per kernel."""
    for profile in profiles.values():
        for group, donor in groups.items():
            if group not in profile["kernels"]:
                profile["kernels"][group] = copy.deepcopy(profiles[donor]["kernels"][group])
                profile["stand_ins"][group] = f"{group} of {donor}"


def share_launches(profiles: Mapping[str, dict[str, Any]], group: str) -> None:
    """Give the attention module `group` the shortest fixed time that any GPU shows for it.

    The fixed time of a module of several small kernels is the GPU's where a captured graph launches them, and the
    host's where it does; equal kernels take 18 us on one GPU and 70 us on its twin. Serving captures graphs.
    """
    entries = [(name, entry) for name, profile in profiles.items() for entry in profile["kernels"].get(group, [])]
    least, quickest = min((entry["kernel"]["launch_s"], name) for name, entry in entries)
    for name, entry in entries:
        if entry["kernel"]["launch_s"] > least:
            entry["kernel"]["launch_s"] = least
            profiles[name]["stand_ins"][f"{group} launch"] = f"fixed time of {quickest}, the shortest"


def transferred(name: str, entry: Mapping[str, Any], profiles: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Profile of a GPU without tables from those named in `entry`."""
    near, links = profiles[entry["kernels"]], profiles[entry["links"]]
    kernels = copy.deepcopy(near["kernels"])
    kernels["multiprocessors"] = entry["multiprocessors"]
    kernels["all_reduce"] = _lent(name, entry["links"], links)
    peaks = gpu(name).peaks
    for group in ("gemm", "experts"):
        fits = kernels[group].items()
        kernels[group] = {form: fit for form, fit in fits if precisions()[form].compute in peaks}
    kernels["all_to_all"] = {}
    stand_ins = {"all": KERNEL_RULE.format(**entry), "all_reduce": LINK_RULE.format(**entry)}
    return {"transferred_from": entry["kernels"], "kernels": kernels, "stand_ins": stand_ins, "residuals": {}}


def lend_links(name: str, links: str, profiles: Mapping[str, dict[str, Any]]) -> None:
    """Replace the all-reduces of a measured GPU whose tables come from an unusual machine."""
    profiles[name]["kernels"]["all_reduce"] = _lent(name, links, profiles[links])
    profiles[name]["stand_ins"]["all_reduce"] = LINK_RULE.format(links=links)
    for key in [key for key in profiles[name]["residuals"] if key.startswith("all_reduce")]:
        del profiles[name]["residuals"][key]


def _lent(name: str, links: str, profile: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    scale = gpu(name).intra_node.value / gpu(links).intra_node.value
    return {group: _scaled(record, scale) for group, record in profile["kernels"]["all_reduce"].items()}


def _scaled(record: Mapping[str, float], scale: float) -> dict[str, float]:
    """Bandwidths of an all-reduce on links `scale` times as fast, latencies as they are."""
    return {key: value * scale if key.endswith("bytes_per_s") else value for key, value in record.items()}
