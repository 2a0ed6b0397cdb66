"""Bundles as the views read them: cached by folder and time of writing, shared by all users of the server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from simulator.results.bundle import Bundle, read_bundle


def open_bundle(folder: Path) -> Bundle:
    """The bundle in `folder`.

    Raises
    ------
    InputError : not a bundle, broken, or written by another version
    """
    return _bundle(str(folder), _stamp(folder))


def open_sweep(folder: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Table of a sweep's bundle, and what it varies.

    Raises
    ------
    InputError : the table is missing or broken
    """
    found: tuple[pd.DataFrame, tuple[str, ...]] = _sweep(str(folder), _stamp(folder))
    return found


def table(bundle: Bundle, name: str) -> pd.DataFrame:
    """One Parquet file of a bundle, whole: for those whose size does not grow with the requests.

    Raises
    ------
    InputError : the bundle has no such table, or it is broken
    """
    frame: pd.DataFrame = _table(str(bundle.path), _stamp(bundle.path), name)
    return frame


def query(bundle: Bundle, name: str, sql: str) -> pd.DataFrame:
    """Answer of a DuckDB query over one Parquet file of a bundle, which the query calls `rows`; reads by column."""
    frame: pd.DataFrame = _query(str(bundle.path), _stamp(bundle.path), name, sql)
    return frame


def _stamp(folder: Path) -> float:
    manifest = folder / "manifest.json"
    return manifest.stat().st_mtime if manifest.exists() else 0.0


@st.cache_resource(max_entries=64, show_spinner="Opening the run")
def _bundle(folder: str, stamp: float) -> Bundle:
    return read_bundle(folder)


@st.cache_data(max_entries=16, show_spinner="Reading the sweep")
def _sweep(folder: str, stamp: float) -> Any:
    place = Path(folder)
    manifest = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
    return Bundle(place, manifest, {}).table("sweep"), tuple(manifest["grid"])


@st.cache_data(max_entries=64, show_spinner="Reading the run")
def _table(folder: str, stamp: float, name: str) -> Any:
    return _bundle(folder, stamp).table(name)


@st.cache_data(max_entries=256, show_spinner="Reading the run")
def _query(folder: str, stamp: float, name: str, sql: str) -> Any:
    import duckdb

    from simulator.errors import InputError, Problem

    file = Path(folder) / f"{name}.parquet"
    if not file.is_file():
        raise InputError(Problem(f"has no table {name!r}", folder))
    with duckdb.connect() as connection:
        connection.read_parquet(str(file)).create_view("rows")
        return connection.sql(sql).df()
