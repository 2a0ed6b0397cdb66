"""TPOT of vllm-sr-sim for a list of points: `run_sr_sim_points.py POINTS.json RESULT.json`. Runs in its environment.

Its decode step of the batch that was measured; prefills of other requests are not in it.
"""

import json
import sys
from pathlib import Path

import fleet_sim
from fleet_sim import ProfileBuilder, ServingConfig
from fleet_sim.models import catalog

MODELS = {model.name: model for name, model in vars(catalog).items() if name.isupper() and hasattr(model, "n_layers")}


def estimate(point):
    """TPOT in seconds, or the reason why not."""
    hardware = getattr(fleet_sim, point["hardware"], None)
    model = MODELS.get(point["model"])
    if hardware is None or model is None:
        return {"reason": f"no {'hardware' if hardware is None else 'model'}"}
    context = int(point["isl"] + point["osl"] / 2)
    serving = ServingConfig(tp=point["tp"], dtype_bytes=point["weight_bytes"], mean_ctx_tokens=context)
    profile = ProfileBuilder().build(hardware, model, serving)
    return {"tpot": profile.iter_latency(max(1, round(point["batch"])), context)}


answers = {point["row_id"]: estimate(point) for point in json.loads(Path(sys.argv[1]).read_text())}
Path(sys.argv[2]).write_text(json.dumps(answers))
