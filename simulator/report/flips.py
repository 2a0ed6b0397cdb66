"""What would change the winner, as a chart and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from simulator.decide.why import flip_words
from simulator.study.decision import Flip

_ROW_PX, _AXIS_PX = 44, 80


def flip_notes(flips: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence for each assumption that was looked at."""
    return [f"{flip_words(Flip(**flip))}." for flip in flips]


def flip_chart(flips: Sequence[Mapping[str, Any]]) -> Any:
    """From today's value (× 1) to where the winner changes, on a logarithmic scale, the nearest first."""
    found = sorted((flip for flip in flips if flip["factor"]), key=lambda flip: max(flip["factor"], 1 / flip["factor"]))
    rows = [
        {"assumption": flip["assumption"], "today": 1.0, "factor": flip["factor"], "winner": f"then {flip['winner']}"}
        for flip in found
    ]
    base = alt.Chart(pd.DataFrame(rows)).encode(
        y=alt.Y("assumption:N", sort=[row["assumption"] for row in rows], title=None, axis=alt.Axis(labelLimit=220)),
        tooltip=["assumption", alt.Tooltip("factor", format=".3f"), "winner"],
    )
    x = alt.X("today:Q", scale=alt.Scale(type="log", nice=False, padding=60), title="multiple of today's value")
    bars = base.mark_rule(strokeWidth=6, color="gray").encode(x=x, x2="factor:Q")
    ends = base.mark_point(filled=True, size=110).encode(x="factor:Q")
    words = base.mark_text(align="center", dy=-13, color="gray").encode(x="factor:Q", text="winner:N")
    return (bars + ends + words).properties(height=_ROW_PX * len(rows) + _AXIS_PX)
