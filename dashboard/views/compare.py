"""Compare: why do they differ?"""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import streamlit as st

from dashboard.context import Context
from dashboard.loading import open_bundle
from simulator.report.paired import differences_to
from simulator.report.table import comparison, ordered
from simulator.results.bundle import Bundle
from simulator.scenario.differences import ABSENT, differences
from simulator.scenario.document import read_document


def show(context: Context) -> None:
    """Figures against the baseline, replication by replication; and in what two runs' scenarios differ."""
    st.title("Compare")
    st.caption(
        "Why do they differ? All topologies served the same requests, so differences are taken replication by "
        "replication: ± is the 95 % interval over replications."
    )
    _figures(context)
    st.subheader("In what the topologies differ")
    parts = _resolved(context.bundle)["topologies"]
    _differences({name: parts[name] for name in context.topologies}, "compare.topologies")
    st.subheader("Against another run")
    others = {folder.name: folder for folder in context.others}
    if not others:
        st.caption("There is no other run here yet.")
        return
    name = st.selectbox("Other run", list(others), key="compare.other", bind="query-params", index=None)
    if name is None:
        st.caption("Choose one to see what was changed and what came of it.")
        return
    other = open_bundle(others[name])
    _differences({context.bundle.path.name: _resolved(context.bundle), name: _resolved(other)}, "compare.scenarios")
    both = {f"{name} here": found for name, found in context.topologies.items()}
    both |= {f"{topology} there": found for topology, found in ordered(other.summary).items()}
    rows, headers = comparison(both)
    st.dataframe(pd.DataFrame(rows, columns=["figure", *headers[1:]]), hide_index=True, key="compare.table")


def _figures(context: Context) -> None:
    if len(context.topologies) < 2:
        st.caption("Show at least two topologies to compare them.")
        return
    rows, headers = differences_to(context.topologies, context.baseline)
    st.dataframe(pd.DataFrame(rows, columns=["figure", *headers[1:]]), hide_index=True, key="compare.paired")


def _resolved(bundle: Bundle) -> dict[str, Any]:
    data: dict[str, Any] = read_document(bundle.path / "scenario.resolved.yaml").data
    return data


def _differences(scenarios: dict[str, Any], key: str) -> None:
    found = differences(list(scenarios.values()))
    if not found:
        st.caption("They are the same.")
        return
    rows = [[entry.path, *(_cell(value) for value in entry.values)] for entry in found]
    st.dataframe(pd.DataFrame(rows, columns=["value", *scenarios]), hide_index=True, key=key)


def _cell(value: Any) -> str:
    if value is ABSENT:
        return "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
