"""Estimates of aiconfigurator for a list of points: `run_aiconfigurator.py POINTS.json RESULT.json`.

Runs in aiconfigurator's own environment. A point that it cannot estimate keeps the reason.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")
logging.disable(logging.ERROR)

from aiconfigurator.cli.api import cli_estimate  # noqa: E402


def estimate(point: dict[str, Any], folder: Path) -> dict[str, Any]:
    """TTFT and TPOT in seconds and requests/s, or the reason why not."""
    model = point["hf_id"]
    for path in (model, _local(point, folder)):
        try:
            found = cli_estimate(
                path,
                point["system"],
                backend_name="vllm",
                isl=round(point["isl"]),
                osl=max(round(point["osl"]), 2),
                batch_size=max(round(point["batch"]), 1),
                tp_size=point["tp"],
                pp_size=point["pp"],
                **point["modes"],
            )
        except BaseException as error:
            reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            continue
        return {"ttft": found.ttft / 1000, "tpot": found.tpot / 1000}
    return {"reason": reason}


def _local(point: dict[str, Any], folder: Path) -> str:
    """Folder with the model's config.json."""
    home = folder / point["model"]
    home.mkdir(exist_ok=True)
    (home / "config.json").write_text(json.dumps(point["config"]))
    return str(home)


def main() -> None:
    points = json.loads(Path(sys.argv[1]).read_text())
    seen: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for point in points:
            key = json.dumps({k: v for k, v in point.items() if k != "row_id"}, sort_keys=True)
            if key not in seen:
                seen[key] = estimate(point, Path(folder))
            point["estimate"] = seen[key]
    Path(sys.argv[2]).write_text(json.dumps({point["row_id"]: point["estimate"] for point in points}))


if __name__ == "__main__":
    main()
