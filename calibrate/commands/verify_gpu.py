"""`servecast verify gpu`: published serving results of real GPUs against the simulator."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from calibrate.serving.measured import MeasuredRow
    from calibrate.serving.read import ServingTable
    from calibrate.serving.report import Comparison

DATA_VARIABLE = "SERVECAST_SERVING_DATA"
DEFAULT_FILES = (
    "serving_points.csv",
    "silicon_vllm_points.csv",
    "gpustack_points.csv",
    "mlenergy_points.csv",
    "llmservingsim_points.csv",
)


def gpu(
    tables: list[Path] | None = None,
    /,
    *,
    data: Path | None = None,
    format: Literal["table", "json", "csv"] = "table",
    rows: bool = False,
    check: bool = False,
    skip_bad: bool = False,
    plots: Path | None = None,
    write_docs: Path | None = None,
    seed: int = 0,
    quiet: bool = False,
) -> int:
    """Simulate every row of tables of published serving results and compare TTFT, TPOT, throughput and E2E.

    For example:

        servecast verify gpu results.csv

    Parameters
    ----------
    tables
        CSV files, one measured point a row.
    data
        Folder of tables by their usual names (serving_points.csv and others), used when no table is given; else the
        environment variable SERVECAST_SERVING_DATA.
    format
        Table; JSON with errors as fractions, of every row in `lines`; or CSV with a line for each row and metric.
    rows
        Print the error of every row and metric too; JSON and CSV have them anyway.
    check
        Exit with 1 when the errors are above the project's limits.
    skip_bad
        Leave rows with impossible values out instead of refusing the table.
    plots
        Write scatter plots (HTML) here.
    write_docs
        Write the errors into the serving section of this document (docs/accuracy.md).
    seed
        Of arrivals and lengths.
    quiet
        No progress bar.
    """
    from calibrate.serving.read import read_tables
    from calibrate.serving.report import HEADERS, LINE_HEADERS, as_json, compare_rows, line_rows, table_rows
    from calibrate.serving.steps import catalog_steps
    from calibrate.serving.targets import missed
    from simulator.cli.output import print_json, print_table, progress_bar

    table = read_tables(table_files(tables, data), skip_bad=skip_bad)
    with progress_bar(quiet) as progress:
        comparison = compare_rows(table, catalog_steps, progress, seed=seed)
    result = as_json(comparison)
    if format == "json":
        print_json(result)
    elif format == "csv":
        print(comparison.lines.to_csv(index=False), end="")
    else:
        if rows:
            print_table(line_rows(comparison.lines), LINE_HEADERS)
            print()
        print_table(table_rows(result), HEADERS)
        _print_knees(result)
        _print_excluded(result)
    if plots is not None:
        from calibrate.serving.charts import write_scatter

        write_scatter(comparison.lines, plots)
    if write_docs is not None:
        _write_docs(write_docs, comparison, table, seed)
    misses = missed(result)
    for words in misses:
        print(words, file=sys.stderr)
    return 1 if check and misses else 0


def _write_docs(path: Path, comparison: Comparison, table: ServingTable, seed: int) -> None:
    from dataclasses import replace

    from calibrate.serving.docs import serving_section, write_docs
    from calibrate.serving.report import as_json, compare_rows
    from calibrate.serving.sources import length_spreads
    from calibrate.serving.steps import catalog_steps

    def assumed(row: MeasuredRow) -> bool:
        return row.osl_cv is None and any(spread.cv > 0 for spread in length_spreads(row))

    def scaled(scale: float) -> Comparison:
        if scale == 1.0:
            return replace(comparison, scored=tuple(one for one in comparison.scored if assumed(one.row)))
        random = replace(table, rows=tuple(row for row in table.rows if assumed(row)))
        return compare_rows(random, catalog_steps, seed=seed, cv_scale=scale)

    titles = {0.0: "all of mean length", 0.5: "half the spread", 1.0: "as simulated", 1.5: "half as much again"}
    spreads = {title: as_json(scaled(scale)) for scale, title in titles.items()}
    write_docs(path, serving_section(comparison, spreads))


def table_files(tables: list[Path] | None, data: Path | None) -> list[Path]:
    """Tables given, or those in the folder given or named by the environment."""
    from calibrate.serving.read import columns_help
    from simulator.errors import InputError

    if tables:
        return tables
    folder = data or (Path(os.environ[DATA_VARIABLE]) if DATA_VARIABLE in os.environ else None)
    if folder is None:
        raise InputError(f"give tables of serving results (CSV), or their folder with --data; {columns_help()}")
    found = [folder / name for name in DEFAULT_FILES if (folder / name).exists()]
    if not found:
        raise InputError(f"{folder} holds none of {', '.join(DEFAULT_FILES)}")
    return found


def _print_knees(result: dict[str, object]) -> None:
    from calibrate.serving.report import knee_rows
    from simulator.cli.output import print_table

    knees = result["knees"]
    assert isinstance(knees, list)
    if knees:
        print()
        print_table(knee_rows(knees), ("open-loop series", "req/s", "TTFT leaves its flat part at", "simulated"))


def _print_excluded(result: dict[str, object]) -> None:
    excluded = result["excluded"]
    assert isinstance(excluded, list)
    if excluded:
        print(f"\n{len(excluded)} rows left out:")
        for row in excluded:
            print(f"  {row['place']}: {row['row_id']}: {row['reason']}")
