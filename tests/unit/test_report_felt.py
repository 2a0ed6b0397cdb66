"""What users felt over time, two sides: bands of the changed one, a row for losses where there are some."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from simulator.report.felt_charts import felt_over_time

COLUMNS = ("ttft_p95_s", "waiting", "lost_percent")


def side(*, lost: float = 0.0, bands: bool = True) -> dict[str, dict[str, list[float | None]]]:
    row: dict[str, list[float | None]] = {"minutes": [0.0, 1.0, 2.0]}
    for column, values in zip(COLUMNS, ([1.0, None, 3.0], [4.0, 5.0, 6.0], [lost] * 3), strict=True):
        row[column] = values
        if bands:
            row[f"{column}_low"] = [value and value - 0.5 for value in values]
            row[f"{column}_high"] = [value and value + 0.5 for value in values]
    return {"own": row, "cloud": row}


def drawn(**options: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = felt_over_time(
        {"as it is": side(**options), "changed": side(**options)}, ["own", "cloud"], (30.0, 90.0)
    ).to_dict()["vconcat"]
    return rows


@pytest.mark.parametrize(("bands", "marks"), [(True, ["rect", "area", "line"]), (False, ["rect", "line"])])
def test_the_changed_side_has_the_band_of_its_replications(bands: bool, marks: list[str]) -> None:
    first = drawn(bands=bands)[0]
    assert [layer["mark"]["type"] for layer in first["layer"]] == marks


def test_a_band_is_of_the_last_side_alone() -> None:
    chart = felt_over_time({"as it is": side(), "changed": side()}, ["own", "cloud"]).to_dict()
    band, line = chart["vconcat"][0]["layer"]
    rows = {
        name: pd.DataFrame(chart["datasets"][layer["data"]["name"]]) for name, layer in (("band", band), ("line", line))
    }
    assert len(rows["line"]) == 8, "two sides, two topologies, the two stretches with a value"
    assert len(rows["band"]) == 4
    assert rows["band"]["ttft_p95_s_low"].tolist() == [0.5, 2.5] * 2


def test_losses_have_a_row_where_there_are_some() -> None:
    assert len(drawn()) == 2
    assert [row["title"]["text"].startswith("requests lost") for row in drawn(lost=2.0)] == [False, False, True]
