"""Bundles as the views read them: cached by folder and what its files are, shared by all users of the server."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from simulator.results.bundle import Bundle, read_bundle, read_manifest
from simulator.scenario.load import LoadedScenario, load_scenario


def open_bundle(folder: Path) -> Bundle:
    """The bundle in `folder`.

    Raises
    ------
    InputError : not a bundle, broken, or written by another version
    """
    return _bundle(str(folder), stamp(folder))


def open_sweep(folder: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Table of a sweep's bundle, and what it varies.

    Raises
    ------
    InputError : the table is missing or broken
    """
    found: tuple[pd.DataFrame, tuple[str, ...]] = _sweep(str(folder), stamp(folder))
    return found


def table(bundle: Bundle, name: str) -> pd.DataFrame:
    """One Parquet file of a bundle, whole: for those whose size does not grow with the requests.

    Raises
    ------
    InputError : the bundle has no such table, or it is broken
    """
    frame: pd.DataFrame = _table(str(bundle.path), stamp(bundle.path), name)
    return frame


def decision(bundle: Bundle) -> dict[str, Any]:
    """`decision.json` of a bundle.

    Raises
    ------
    InputError : the bundle has none, or it is broken
    """
    found: dict[str, Any] = _decision(str(bundle.path), stamp(bundle.path))
    return found


def resolved(bundle: Bundle) -> LoadedScenario:
    """The scenario that a bundle resolved and ran."""
    return _resolved(str(bundle.path), stamp(bundle.path))


def pool_names(bundle: Bundle, topology: str) -> list[str]:
    """Pools that a topology has in the scenario, those too of which its fleet needs no replica."""
    return [pool.name for pool in resolved(bundle).scenario.topologies[topology].pools]


def stamp(folder: Path) -> str:
    """What the files of a bundle are, by name, size and time of writing: caches of what is read from it go by this."""
    with contextlib.suppress(OSError):
        files = sorted((file.name, file.lstat().st_size, file.lstat().st_mtime_ns) for file in folder.iterdir())
        return hashlib.sha256(repr(files).encode()).hexdigest()
    return ""


@st.cache_resource(max_entries=64, show_spinner="Opening the run")
def _bundle(folder: str, written: str) -> Bundle:
    return read_bundle(folder)


@st.cache_data(max_entries=16, show_spinner="Reading the sweep")
def _sweep(folder: str, written: str) -> Any:
    place = Path(folder)
    manifest = read_manifest(place)
    return Bundle(place, manifest, {}).table("sweep"), tuple(manifest["grid"])


@st.cache_data(max_entries=64, show_spinner="Reading the run")
def _table(folder: str, written: str, name: str) -> Any:
    return _bundle(folder, written).table(name)


@st.cache_resource(max_entries=64, show_spinner="Reading the run")
def _decision(folder: str, written: str) -> Any:
    return _bundle(folder, written).decision


@st.cache_resource(max_entries=64, show_spinner="Reading the scenario")
def _resolved(folder: str, written: str) -> LoadedScenario:
    return load_scenario(_bundle(folder, written).scenario_file)
