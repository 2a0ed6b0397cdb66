"""Tables behind charts hold what the charts draw, once, in words."""

from __future__ import annotations

import altair as alt
import pandas as pd

from simulator.report.behind import tables_behind

DATA = pd.DataFrame({"topology": ["own", "api"], "usd": [3.0, 4.0], "low": [2.0, 3.5], "unseen": [0, 0]})


def points() -> alt.Chart:
    tooltip = ["topology", alt.Tooltip("usd", title="$ per month")]
    return (
        alt.Chart(DATA, title="Costs").mark_point().encode(x="usd:Q", y=alt.Y("low:Q", title="least"), tooltip=tooltip)
    )


def test_columns_are_what_a_mark_tells_and_its_axes_by_their_words() -> None:
    ((title, frame),) = tables_behind(points())
    assert title == "Costs"
    assert list(frame.columns) == ["topology", "$ per month", "least"]
    assert frame["$ per month"].tolist() == [3.0, 4.0]


def test_marks_that_tell_nothing_are_left_out_and_what_two_draw_is_there_once() -> None:
    rule = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule().encode(x="zero:Q")
    layered = alt.layer(rule, points(), points().mark_line(), title="Both")
    assert [title for title, _ in tables_behind(layered)] == ["Costs"]


def test_rows_of_a_stacked_chart_have_a_table_each_also_where_they_share_their_data() -> None:
    rows = alt.vconcat(points(), points().properties(title="Other"), data=DATA)
    found = tables_behind(rows)
    assert [title for title, _ in found] == ["Costs", "Other"]
    assert all(len(frame) == len(DATA) for _, frame in found)


def test_two_fields_of_one_name_are_told_apart() -> None:
    chart = alt.Chart(DATA).mark_bar().encode(tooltip=[alt.Tooltip("usd", title="x"), alt.Tooltip("low", title="x")])
    ((_, frame),) = tables_behind(chart)
    assert list(frame.columns) == ["usd", "low"]
