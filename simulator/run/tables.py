"""Tables of a bundle that do not grow with the number of requests."""

from __future__ import annotations

import numpy as np
import pandas as pd

from simulator.metrics.accumulate import MetricAccumulator
from simulator.metrics.slo import METRICS

_SHARES = np.unique(np.concatenate([np.linspace(0.0, 0.98, 99), 1 - np.geomspace(0.02, 1e-4, 40)])).round(6)
"""Shares at which a distribution is kept: every percent, and finer towards the slowest."""


def latency_frame(topology: str, metrics: MetricAccumulator) -> pd.DataFrame:
    """Rows of `latency.parquet`: the distribution function of each class and metric.

    Columns: `topology`, `class`, `metric` (`ttft_s`, `tpot_s`, …), `share` and `value_s`: that share of the values is
    at most `value_s`. Classes without values have no rows.
    """
    frames = []
    for slo, tally in zip(metrics.classes, metrics.by_class, strict=True):
        for metric in METRICS:
            sketch = tally.sketches[metric]
            if sketch.n:
                values_s = [sketch.quantile(float(share)) for share in _SHARES]
                frames.append(
                    pd.DataFrame({"metric": metric, "share": _SHARES, "value_s": values_s, "class": slo.name})
                )
    columns = ["class", "metric", "share", "value_s"]
    found = pd.concat(frames)[columns] if frames else pd.DataFrame(columns=columns)
    found.insert(0, "topology", topology)
    return found.reset_index(drop=True)
