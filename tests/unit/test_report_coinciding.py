"""Curves that lie over each other are all seen."""

from __future__ import annotations

import pandas as pd
import pytest

from simulator.report.coinciding import with_widths


def curves(**points: list[tuple[float, float | None]]) -> pd.DataFrame:
    rows = [{"topology": name, "x": x, "y": y} for name, each in points.items() for x, y in each]
    return pd.DataFrame(rows, columns=["topology", "x", "y"])


def widths(data: pd.DataFrame, *by: str) -> dict[str, float]:
    drawn = with_widths(data, "x", "y", by or ("topology",))
    assert drawn.drop(columns="width").equals(data)
    assert drawn.groupby("topology")["width"].nunique().max() == 1
    return dict(zip(drawn["topology"], drawn["width"], strict=True))


LINE = [(0.0, 5.0), (1.0, 6.0), (2.0, 7.0)]


def test_what_lies_beneath_is_wider_by_each_that_covers_it() -> None:
    apart = [(0.0, 50.0), (1.0, 60.0), (2.0, 100.0)]
    found = widths(curves(first=LINE, apart=apart, second=LINE, third=[(0.0, 5.2), (1.0, 6.0), (2.0, 9.0)]))
    assert found == {"first": 10, "apart": 2, "second": 6, "third": 2}


@pytest.mark.parametrize(
    ("other", "covers"),
    [
        ([(0.0, 5.0), (0.5, 5.0), (1.0, 6.0), (2.0, 7.0)], True),
        ([(-1.0, 5.0), (1.0, 6.0), (3.0, 7.0)], True),
        ([(0.0, 5.5), (1.0, 6.5), (2.0, 7.0)], False),
        ([(5.0, 5.0), (6.0, 7.0)], False),
        ([(0.0, None), (1.0, None)], False),
    ],
)
def test_one_curve_covers_another_at_most_of_its_points(other: list[tuple[float, float | None]], covers: bool) -> None:
    assert widths(curves(one=LINE, other=other)) == {"one": 6 if covers else 2, "other": 2}


def test_a_curve_that_rises_at_one_place_covers_itself() -> None:
    steep = [(1.0, k / 9) for k in range(10)]
    assert widths(curves(one=steep, other=steep)) == {"one": 6, "other": 2}


def test_curves_that_are_seen_through_each_other_hide_none() -> None:
    sides = [curves(one=LINE, other=LINE).assign(side=side) for side in ("as it is", "changed")]
    drawn = with_widths(pd.concat(sides, ignore_index=True), "x", "y", ("topology", "side"), "side")
    assert dict(zip(zip(drawn["topology"], drawn["side"], strict=True), drawn["width"], strict=True)) == {
        ("one", "as it is"): 6,
        ("other", "as it is"): 2,
        ("one", "changed"): 6,
        ("other", "changed"): 2,
    }


def test_many_over_each_other_grow_no_further_and_none_is_none() -> None:
    assert max(widths(curves(**{f"t{k}": LINE for k in range(30)})).values()) == 10
    assert widths(curves(one=LINE)) == {"one": 2}
    assert with_widths(curves(), "x", "y").empty
