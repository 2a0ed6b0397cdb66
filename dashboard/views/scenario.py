"""Scenario: can I change it?"""

from __future__ import annotations

import hashlib
from pathlib import Path

import streamlit as st

from dashboard import jobs
from dashboard.checks import check
from dashboard.components import draft
from dashboard.components.job_panel import show_job, show_others
from dashboard.components.main_values import show_main_values
from dashboard.components.positions import steps_back
from dashboard.components.words import plain
from dashboard.context import Context
from dashboard.line import name_of
from dashboard.settings import settings
from dashboard.visitor import visitor
from dashboard.workspace import gallery, lay_out, shipped, text_of_run
from simulator.cli.problems import first_of
from simulator.errors import InputError, Problem
from simulator.results.scratch import scratch
from simulator.scenario.load import LoadedScenario, load_scenario

_OWN = "(shown run)"
_LONGEST_LINE = 500
"""Letters of a line with a problem that are shown."""


def show(context: Context | None) -> None:
    """Gallery, editor, uploads, check, run."""
    st.title("Scenario")
    st.html("<style>.st-key-scenario-text textarea {font-family: monospace; font-size: 0.85rem}</style>")
    st.caption("Choose one, change it, run it. Each change is kept in a draft of its own, which the address names.")
    out = Path(settings().out)
    place, base = _choose(context)
    actions = st.container()
    written, main = st.tabs(["Text", "Main values"])
    with written:
        text = _editor()
    uploads = _uploads()
    with actions:
        draft.keep(text, st.session_state["scenario.begun"], uploads)
        loaded, problems = _check(place, text, uploads, base)
        _actions(out, place, text, uploads, base, bool(problems))
    with main:
        if loaded is None:
            st.caption("The form is back as soon as the text has no errors.")
        else:
            show_main_values(loaded, text, "scenario.text")


def _actions(out: Path, place: str, text: str, uploads: dict[str, bytes], base: Path | None, is_wrong: bool) -> None:
    """Run and save above the text, however long it is; below them how the run goes."""
    row = st.container(horizontal=True)
    if row.button("Run", key="scenario.run", type="primary", icon=":material/play_arrow:", disabled=is_wrong):
        started = jobs.start(out, place, text, uploads, base, visitor=visitor())
        st.query_params["job"] = st.session_state["scenario.job"] = started
        st.rerun()
    row.download_button(
        "Save as file",
        text,
        file_name=f"{name_of(text)}.yaml",
        mime="application/yaml",
        key="scenario.save",
        on_click="ignore",
    )
    begun = {"scenario.text": st.session_state["scenario.begun"]}
    steps_back("scenario", ["scenario.text"], begun, st.session_state["scenario.source"], row)
    job = st.query_params.get("job")
    if job:
        show_job(out, job)
    show_others(out, job)


def _choose(context: Context | None) -> tuple[str, Path | None]:
    """Where the scenario lies among the shipped ones, or the bundle that it comes from."""
    names = [*gallery(), *([_OWN] if context else [])]
    name = st.selectbox(
        "Start from",
        names,
        key="scenario.from",
        help="shipped scenarios, or the run that is shown",
        bind="query-params",
    )
    if name and name != _OWN:
        st.caption(plain(_description(_shipped_text(name))))
    upload = st.file_uploader("or upload a scenario", type=["yaml", "yml"], key="scenario.upload", max_upload_size=1)
    own = context if name == _OWN and not upload else None
    source = f"{upload.name}:{upload.file_id}" if upload else f"{name}:{own.bundle.path if own else ''}"
    written = st.session_state.pop("scenario.draft", None)
    if written is not None:
        draft.close()
    opened = written is None and draft.open_named(source)
    before = st.session_state.get("scenario.source", "")
    if not opened and (written is not None or before != source):
        job = st.session_state.pop("scenario.job", None)
        # who writes on while their run goes on keeps what they wrote when it is shown
        is_its_run = own is not None and before.startswith(f"{_OWN}:") and _bundle_of(job) == own.bundle.path.name
        begun = written or _text(name, upload, context)
        if written is not None or not is_its_run:
            st.session_state["scenario.text"] = begun
            draft.close()
        if written is None and not is_its_run:
            st.session_state["scenario.attached"] = {}
        if written is not None:
            draft.begin(written, st.session_state.get("scenario.attached", {}))
        st.session_state["scenario.source"] = source
        st.session_state["scenario.begun"] = begun
    if own is not None:
        return "scenario.yaml", own.bundle.path
    return ("scenario.yaml" if upload else str(name)), None


def _bundle_of(job: str | None) -> str | None:
    """Name of the bundle that a run ended with."""
    found = jobs.status(Path(settings().out), job) if job else None
    return found.bundle if found else None


def _description(text: str) -> str:
    """What a shipped scenario asks."""
    found = next((line for line in text.splitlines() if line.startswith("description:")), "")
    return found.removeprefix("description:").strip()


def _shipped_text(name: str) -> str:
    return (shipped() / name).read_text(encoding="utf-8")


def _text(name: str | None, upload: object, context: Context | None) -> str:
    if upload is not None:
        try:
            return upload.getvalue().decode("utf-8")  # type: ignore[attr-defined,no-any-return]
        except UnicodeDecodeError as error:
            raise InputError(Problem("is not UTF-8 text", "the upload")) from error
    if name == _OWN and context is not None:
        return text_of_run(context.bundle.path)
    return _shipped_text(str(name))


def _editor() -> str:
    return str(st.text_area("Scenario (YAML)", key="scenario.text", height=520, persist_state="session"))


def _uploads() -> dict[str, bytes]:
    attached: dict[str, bytes] = st.session_state.get("scenario.attached", {})
    if attached:
        row = st.container(horizontal=True, vertical_alignment="center")
        row.caption(f"Beside it lies {plain(', '.join(attached))}, from the answers.")
        if row.button("Leave it out", key="scenario.detach"):
            st.session_state["scenario.attached"] = {}
            st.rerun()
    files = st.file_uploader(
        "Traffic, traces or model configurations that the scenario names",
        key="scenario.files",
        accept_multiple_files=True,
        help="name them in the scenario by their file name alone",
    )
    return attached | {file.name: file.getvalue() for file in files}


def _check(
    place: str, text: str, uploads: dict[str, bytes], base: Path | None
) -> tuple[LoadedScenario | None, tuple[Problem, ...]]:
    """Check what is written, once, and say what is wrong beside its line."""
    content = (
        place,
        text,
        str(base),
        *(f"{name}:{hashlib.sha256(data).hexdigest()}" for name, data in uploads.items()),
    )
    digest = hashlib.sha256("\0".join(content).encode()).hexdigest()
    if st.session_state.get("scenario.checked", ("",))[0] != digest:
        st.session_state["scenario.checked"] = (digest, *_checked(place, text, uploads, base))
    _, loaded, requests, problems = st.session_state["scenario.checked"]
    if loaded is None:
        _tell(problems, text)
        return None, problems
    run = loaded.scenario.run
    names = ", ".join(loaded.scenario.topologies)
    st.success(
        f"Valid: {plain(names)}; {run.horizon_s / 60:,.0f} min × {run.replications}, about "
        f"{requests:,.0f} requests to simulate.",
        icon=":material/check:",
    )
    return loaded, ()


def _checked(
    place: str, text: str, uploads: dict[str, bytes], base: Path | None
) -> tuple[LoadedScenario | None, float, tuple[Problem, ...]]:
    with scratch() as folder:
        root = Path(folder).resolve()
        try:
            file = lay_out(root, place, text, uploads, base)
            requests = check(file, root, visitor=visitor())
            return load_scenario(file), requests, ()
        except InputError as error:
            return None, 0.0, error.problems


def _tell(problems: tuple[Problem, ...], text: str) -> None:
    lines = text.splitlines()
    first, rest = first_of(problems)
    for problem in first:
        where = f"line {problem.line}, column {problem.column}" if problem.line else "the scenario"
        got = f" (got {problem.got})" if problem.got else ""
        path = f" {problem.path}" if problem.path else ""
        st.error(f"**{where}**{plain(f'{path}: {problem.message}{got}')}", icon=":material/error:")
        if problem.line and problem.line <= len(lines):
            st.code(lines[problem.line - 1][:_LONGEST_LINE], language="yaml")
    if rest:
        st.error(rest, icon=":material/error:")
