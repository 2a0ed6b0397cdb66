"""The parameters of the fit: what is expected of them before any serving result is seen, and physical bounds.

`NAME.SINCE` is a parameter of one generation of the engine. Up to vLLM 0.9 CUDA graphs were captured in pieces, so the
host launches every layer; 0.10 brought whole graphs for decoding; from 0.14 the host works one step ahead. The kernels'
tables are of 0.24: `experts.FORMAT.SINCE` is what older engines reach of the experts' speed, `products.` and `tuned.`
what they reach of their products' where no configuration or a tuned one is known of the shape.
"""

from __future__ import annotations

from calibrate.serving.fit import Parameter
from simulator.catalog.overheads import (
    expert_rows,
    family_rows,
    front_end,
    host_rows,
    link_rows,
    overhead_rows,
    penalty_seq_s,
)

PARAMETERS: tuple[Parameter, ...] = (
    Parameter("exposed_s", 5e-4, 5e-5, 3e-3, "s", 0.7),
    Parameter("exposed_seq_s.0.8", 1.5e-5, 1e-7, 1e-4, "s", 0.7),
    Parameter("exposed_seq_s.0.10", 1.5e-5, 1e-7, 1e-4, "s", 0.7),
    Parameter("exposed_seq_s.0.14", 3e-6, 1e-7, 1e-4, "s", 1.0),
    Parameter("launch_layer_s.0.8", 1e-4, 1e-5, 3e-4, "s", 0.7),
    Parameter("launch_layer_s.0.10", 5e-5, 1e-6, 3e-4, "s", 1.0),
    Parameter("launch_layer_s.0.14", 3e-5, 1e-6, 3e-4, "s", 1.0),
    Parameter("eager_layer_s.blackwell", 5e-4, 1e-5, 3e-3, "s", 0.7),
    Parameter("host_factor", 1.5, 0.5, 6.0, "-", 0.7),
    Parameter("host_s", 5e-4, 1e-5, 5e-3, "s", 0.7),
    Parameter("host_seq_s", 3e-6, 1e-8, 5e-5, "s", 1.0),
    Parameter("layer_s", 1e-6, 1e-8, 2e-5, "s", 1.0),
    Parameter("collective_wait_s", 2e-6, 1e-8, 3e-5, "s", 0.4),
    Parameter("request_s", 6e-3, 5e-4, 5e-2, "s", 0.7),
    Parameter("template_s", 9e-3, 1e-3, 3e-2, "s", 0.5),
    Parameter("own_s", 1.5e-3, 1e-4, 1e-2, "s", 0.5),
    Parameter("penalty_seq_s", 3.6e-5, 1e-6, 2e-4, "s", 0.5),
    Parameter("experts.bf16.0.8", 0.9, 0.3, 1.5, "share", 0.25),
    Parameter("experts.fp8.0.8", 0.9, 0.3, 1.5, "share", 0.25),
    Parameter("products.fp8.0.8", 0.9, 0.3, 1.5, "share", 0.25),
    Parameter("products.bf16.0.8", 0.8, 0.3, 1.5, "share", 0.25),
    Parameter("tuned.bf16.0.8", 1.0, 0.3, 1.5, "share", 0.25),
    Parameter("experts.mxfp4.0.8", 0.9, 0.3, 1.5, "share", 0.25),
    Parameter("experts.int4.0.8", 0.95, 0.3, 1.5, "share", 0.2),
    Parameter("experts.w8a16.0.8", 0.9, 0.3, 1.5, "share", 0.25),
    Parameter("experts.fp8.0.14", 0.95, 0.3, 1.5, "share", 0.2),
    Parameter("experts.mxfp4.0.14", 0.95, 0.3, 1.5, "share", 0.2),
    Parameter("experts.fp4.0.14", 0.95, 0.3, 1.5, "share", 0.2),
    Parameter("experts.int4.0.14", 0.95, 0.3, 1.5, "share", 0.2),
    Parameter("experts.bf16.0.18", 1.0, 0.4, 1.5, "share", 0.15),
    Parameter("experts.fp8.0.18", 1.0, 0.4, 1.5, "share", 0.15),
    Parameter("experts.mxfp4.0.18", 1.0, 0.4, 1.5, "share", 0.15),
    Parameter("experts.fp4.0.18", 1.0, 0.4, 1.5, "share", 0.15),
    Parameter("experts.int4.0.18", 1.0, 0.4, 1.5, "share", 0.15),
    Parameter("links.nvlink", 0.9, 0.3, 1.3, "share", 0.25),
    Parameter("links.pcie", 0.7, 0.1, 1.2, "share", 0.5),
    Parameter("compute.ampere", 0.85, 0.4, 1.5, "share", 0.2),
    Parameter("compute.hopper", 0.85, 0.4, 1.5, "share", 0.2),
    Parameter("compute.hopper-pcie", 0.85, 0.4, 1.5, "share", 0.2),
    Parameter("compute.ada", 0.85, 0.4, 1.5, "share", 0.2),
    Parameter("compute.ada-consumer", 0.85, 0.4, 1.5, "share", 0.2),
    Parameter("compute.blackwell", 0.85, 0.4, 1.5, "share", 0.2),
    Parameter("compute.blackwell-workstation", 0.85, 0.4, 1.5, "share", 0.2),
)


def present_values() -> dict[str, float]:
    """The catalog's values of the parameters, where a fit begins."""
    known = {f"experts.{name}.{row.since}": one.value for row in expert_rows() for name, one in row.shares.items()}
    for kind in ("products", "tuned"):
        known |= {
            f"{kind}.{name}.{row.since}": one.value for row in expert_rows() for name, one in getattr(row, kind).items()
        }
    known |= {f"compute.{row.name}": row.compute.value for row in family_rows()}
    known |= {f"eager_layer_s.{row.name}": row.eager_layer_s.value for row in family_rows() if row.eager_layer_s}
    known |= {f"links.{row.name}": row.share.value for row in link_rows()}
    known |= {"host_factor": host_rows()[0].factor.value, "penalty_seq_s": penalty_seq_s().value}
    known |= {name: getattr(front_end(), name).value for name in ("template_s", "own_s")}
    for row in overhead_rows():
        for one in PARAMETERS:
            name, _, since = one.name.partition(".")
            if hasattr(row, name) and since in ("", row.since):
                known[one.name] = getattr(row, name).value
    return {one.name: min(max(known[one.name], one.low), one.high) for one in PARAMETERS}
