"""A form for the main values of a scenario; what it changes appears in the text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import streamlit as st
from ruamel.yaml.error import YAMLError

from dashboard.components.standing import stand
from dashboard.edit import Step, assign
from simulator.scenario.load import LoadedScenario

_COLUMNS = 4
_SEEN = "scenario.form.seen"


@dataclass(frozen=True, slots=True)
class Value:
    """One value of the form.

    Attributes
    ----------
    steps : where it stands in the scenario
    kind : kind of catalog entry to choose from, or empty for a number
    """

    section: str
    label: str
    steps: tuple[Step, ...]
    value: Any
    kind: str = ""

    @property
    def key(self) -> str:
        return "scenario.form." + ".".join(map(str, self.steps))


def show_main_values(loaded: LoadedScenario, text: str, text_key: str) -> None:
    """The form; on submission the text in `st.session_state[text_key]` is changed."""
    values = list(main_values(loaded))
    if st.session_state.get(_SEEN) != text:
        st.session_state[_SEEN] = text
        for value in values:
            stand(value.key, value.value)
    with st.form("scenario.form", border=False):
        for section in dict.fromkeys(value.section for value in values):
            st.markdown(f"**{section}**")
            columns = st.columns(_COLUMNS)
            for k, value in enumerate(value for value in values if value.section == section):
                with columns[k % _COLUMNS]:
                    _widget(value)
        st.form_submit_button("Change the text", key="scenario.form.apply", on_click=_apply, args=(values, text_key))


def _widget(value: Value) -> None:
    if value.kind:
        from simulator.catalog.listing import names

        listed = names(value.kind)
        st.selectbox(value.label, listed if value.value in listed else [value.value, *listed], key=value.key)
    elif isinstance(value.value, str):
        st.text_input(value.label, key=value.key)
    elif isinstance(value.value, int):
        st.number_input(value.label, min_value=0, step=1, key=value.key)
    else:
        st.number_input(value.label, min_value=0.0, format="%g", key=value.key)


def _apply(values: list[Value], text_key: str) -> None:
    """Into the text as it is now: who leaves it by the form's button has changed it since the form was shown.

    A field that a browser does not send, as it does not after a break of its connection, keeps its value.
    """
    text = st.session_state[text_key]
    for value in values:
        chosen = st.session_state.get(value.key)
        if chosen is not None and chosen != value.value:
            try:
                text = assign(text, value.steps, chosen)
            except (ValueError, YAMLError) as error:
                st.toast(f"{value.section}, {value.label}: {error}; change it in the text", icon=":material/error:")
    st.session_state[text_key] = text


def main_values(loaded: LoadedScenario) -> Iterator[Value]:
    """The values of a scenario that people change most, by section."""
    scenario = loaded.scenario
    yield Value("Run", "Model", ("model",), scenario.model, "models")
    yield Value("Run", "Horizon [s]", ("run", "horizon_s"), scenario.run.horizon_s)
    yield Value("Run", "Replications", ("run", "replications"), scenario.run.replications)
    yield Value("Run", "Seed", ("run", "seed"), scenario.run.seed)
    for k, cls in enumerate(scenario.workload.classes):
        yield from _class_values(f"Requests: {cls.name}", ("workload", "classes", k), cls)
    for name, topology in scenario.topologies.items():
        for k, pool in enumerate(topology.pools):
            yield from _pool_values(f"{name}: {pool.name}", ("topologies", name, "pools", k), pool)


def _class_values(section: str, steps: tuple[Step, ...], cls: Any) -> Iterator[Value]:
    labels = {
        "rate_rps": "Requests per second",
        "row_factor": "Traffic of the file ×",
        "rate_scale": "Traffic of the file ×",
        "concurrency": "Users",
    }
    for key, label in labels.items():
        if hasattr(cls.arrivals, key):
            yield Value(section, label, (*steps, "arrivals", key), getattr(cls.arrivals, key))
            break
    for metric in ("ttft_s", "tpot_s", "e2e_s"):
        for share, limit_s in getattr(cls.slo, metric).items():
            label = f"SLO: {metric.removesuffix('_s').upper()} {share} [s]"
            yield Value(section, label, (*steps, "slo", metric, share), limit_s)


def _pool_values(section: str, steps: tuple[Step, ...], pool: Any) -> Iterator[Value]:
    yield Value(section, "GPU", (*steps, "gpu"), pool.gpu, "gpus")
    yield Value(section, "GPUs of a replica (TP)", (*steps, "tensor_parallel_size"), pool.tensor_parallel_size)
    if pool.autoscaler is None:
        yield Value(section, "Replicas", (*steps, "replicas"), pool.replicas)
    elif pool.autoscaler != "auto":
        yield Value(section, "Fewest replicas", (*steps, "autoscaler", "min"), pool.autoscaler.min)
        yield Value(section, "Most replicas", (*steps, "autoscaler", "max"), pool.autoscaler.max)
