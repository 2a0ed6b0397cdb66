"""Measured kernel tables on disk: the folder of aiconfigurator-core's data, read table by table."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from simulator.errors import InputError, Problem

PACKAGE = "aiconfigurator_core"
INSIDE = Path("systems") / "data"
MILLISECOND = 1e-3


@dataclass(slots=True)
class Tables:
    """A folder of tables; remembers which ones were read.

    Attributes
    ----------
    root : folder with one sub-folder per system, as `h100_sxm/gemm/vllm/0.24.0/gemm_perf.parquet`
    used : tables read so far, relative to `root`
    """

    root: Path
    used: list[str] = field(default_factory=list)

    def read(
        self, system: str, op: str, framework: str, version: str, name: str, columns: Sequence[str]
    ) -> pd.DataFrame:
        """One table with `columns`, and `latency_s` in seconds.

        Raises
        ------
        InputError : no such table, or columns that it lacks
        """
        place = Path(system) / op / framework / version / f"{name}_perf.parquet"
        file = self.root / place
        if not file.is_file():
            raise InputError(Problem(f"no table {place} in the source", file=str(self.root)))
        table = pd.read_parquet(file)
        missing = [column for column in [*columns, "latency"] if column not in table]
        if missing:
            raise InputError(Problem(f"table lacks the columns {', '.join(missing)}", file=str(file)))
        if str(place) not in self.used:
            self.used.append(str(place))
        table["latency_s"] = table["latency"] * MILLISECOND
        return table[(table["latency_s"] > 0) & table["latency_s"].notna()]

    def has(self, system: str, op: str, framework: str, version: str, name: str) -> bool:
        """Whether the source holds that table."""
        return (self.root / system / op / framework / version / f"{name}_perf.parquet").is_file()


def find_tables(source: Path | None) -> Tables:
    """Tables of `source` (a folder of the unpacked package, or any folder above its data), or of the installed package.

    Raises
    ------
    InputError : no tables there, with how to get them
    """
    if source is None:
        spec = importlib.util.find_spec(PACKAGE)
        places = list(spec.submodule_search_locations or []) if spec else []
        if not places:
            raise InputError("aiconfigurator-core is not installed: pip install 'servecast[kernels]', or give --source")
        return Tables(Path(places[0]) / INSIDE)
    for candidate in (source, source / INSIDE, source / PACKAGE / INSIDE):
        if any(candidate.glob("*/gemm")):
            return Tables(candidate)
    raise InputError(Problem("no kernel tables (SYSTEM/gemm/…) in this folder", file=str(source)))


def package_version(root: Path) -> str | None:
    """Version of the package that the tables belong to, from the metadata beside it."""
    for folder in root.parents:
        for metadata in sorted(folder.glob(f"{PACKAGE}-*.dist-info")):
            return metadata.name.removeprefix(f"{PACKAGE}-").removesuffix(".dist-info")
    return None
