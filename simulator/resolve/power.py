"""What a GPU draws that serves nobody and holds no model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulator.catalog.gpus import BARE_IDLE_POWER, MEASURED_POWER_GPU, Gpu, gpu
from simulator.resolve.engines import PlannedEngine
from simulator.resolve.figures import Figures
from simulator.study.terms import Money


def gpu_idle_w(engines: Sequence[PlannedEngine], figures: Figures) -> Money:
    """Draw in W of a GPU without a model, of the servers that pools with these engines stand on.

    Never more than that of a GPU with an idle model, as the catalog or the scenario (`gpu_power`) has it.
    """
    loaded_w = min(float(engine.power_w_by_seqs[0]) / engine.layout.gpus for engine in engines)
    least = np.minimum(_bare_w(engines[0].gpu, figures), loaded_w)
    return least if least.ndim else float(least)


def _bare_w(card: Gpu, figures: Figures) -> Money:
    """Of the card itself, else of the one that is known, by power of the board."""
    if "bare" in card.power:
        return figures.of(card.power["bare"], f"{card.name}.bare")
    reference_w = gpu(MEASURED_POWER_GPU).board_power.value
    return figures(BARE_IDLE_POWER) * (card.board_power.value / reference_w)
