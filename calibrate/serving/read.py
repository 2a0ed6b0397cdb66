"""Tables of published serving results: rows, what is impossible in them, and what cannot be simulated."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from calibrate.serving.measured import Burst, ClosedLoop, Excluded, Figures, Load, MeasuredRow, OpenLoop
from calibrate.serving.names import NotSupported, gpu_name, kv_format, model_name, weight_format
from calibrate.serving.silicon import as_serving_columns, is_silicon
from calibrate.serving.sources import known_source
from simulator.errors import InputError, Problem

WHOLE = ("tp", "pp", "n_gpu", "num_requests")
REQUIRED = ("model", "gpu", "tp", "engine", "isl", "osl", "concurrency_or_rate", "arrival")
LATENCIES = tuple(
    f"{metric}_{stat}_ms" for metric in ("ttft", "tpot", "itl", "e2e") for stat in ("mean", "p50", "p90", "p99")
)
THROUGHPUTS = {
    "throughput_tok_s": ("throughput", "total"),
    "output_tok_s": ("throughput", "output"),
    "request_tput_rps": ("throughput", "requests"),
}
LEAST_MS = {"ttft": 1.0, "tpot": 0.1, "e2e": 1.0}
"""No GPU answers sooner: what is below was measured in seconds."""
LIMITS = ("max_num_seqs", "max_num_batched_tokens", "max_model_len", "gpu_mem_util", "kv_blocks")
MS_PER_S = 1000.0
SAME, ROUNDED = 1e-4, 2e-3
"""Two runs of one configuration differ by more than that in most of their figures: one result that two tables have
differs by what one of them rounded."""
SAME_FIGURES = 3
"""Figures that must be there to tell."""
TOO_LONG = "has more values than the first line has names"
_IN_OTHER_UNITS = re.compile(r"(?:ttft|tpot|itl|e2e)_.*_(?:s|sec|secs|seconds|us|ns)", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?\d[\d_]*\.?\d*(?:e[-+]?\d+)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ServingTable:
    """Rows to simulate and rows left out, of one or several files."""

    rows: tuple[MeasuredRow, ...]
    excluded: tuple[Excluded, ...]


def columns_help() -> str:
    """What columns a table of serving results needs."""
    return (
        f"needed columns: {', '.join(REQUIRED)}, and at least one of {', '.join(THROUGHPUTS)}, "
        f"{', '.join(LATENCIES[:6])}, …; used where present: n_gpu, pp, ep, dp, dtype, kv_dtype, engine_version, "
        f"num_requests, {', '.join(LIMITS)}, prefix_caching, chunked_prefill, async_scheduling, isl_cv, osl_cv, "
        "generated_tokens, failed_requests, measured_on, endpoint, dataset, workload, source_path"
    )


def read_tables(paths: Iterable[Path], *, skip_bad: bool = False) -> ServingTable:
    """Read tables of serving results; a result that stands in several of them counts where it stands first.

    Parameters
    ----------
    skip_bad : leave rows with impossible values out instead of refusing the table

    Raises
    ------
    InputError : a file that cannot be read, a row longer than the first line, missing columns, and every impossible
        value as `file:line`
    """
    rows: list[MeasuredRow] = []
    seen: dict[tuple[object, ...], list[MeasuredRow]] = {}
    excluded: list[Excluded] = []
    problems: list[Problem] = []
    for path in paths:
        for line, cells in _cells(path):
            place, row_id = f"{path.name}:{line}", cells.get("row_id") or f"line {line}"
            wrong = [*_problems(cells, str(path), line)]
            if wrong and skip_bad:
                excluded.append(Excluded(place, row_id, "; ".join(f"{p.path}: {p.message}" for p in wrong)))
            elif wrong:
                problems += wrong
            else:
                try:
                    row = _row(cells, place, row_id, path.parent)
                    alike = seen.setdefault((row.model, row.gpu, row.gpus, row.dtype, type(row.load)), [])
                    if any(_same_result(row, other) for other in alike):
                        raise NotSupported("the same result as in another table or further up")
                    alike.append(row)
                    rows.append(row)
                except NotSupported as reason:
                    excluded.append(Excluded(place, row_id, str(reason)))
    if problems:
        raise InputError(*problems)
    return ServingTable(tuple(rows), tuple(excluded))


def _same_result(row: MeasuredRow, other: MeasuredRow) -> bool:
    """Whether the figures that both have are the same but for rounding."""
    common = row.figures.keys() & other.figures.keys()
    apart = sorted(abs(row.figures[key] / other.figures[key] - 1.0) for key in common)
    return len(apart) >= SAME_FIGURES and apart[len(apart) // 2] <= SAME and apart[-1] <= ROUNDED


def _cells(path: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            header = list(reader.fieldnames or ())
            lines = []
            for row in reader:
                if None in row:
                    raise InputError(Problem(TOO_LONG, file=str(path), line=reader.line_num))
                lines.append((reader.line_num, {k: (v or "").strip() for k, v in row.items() if k}))
    except OSError as error:
        raise InputError(Problem(f"cannot read: {error.strerror}", file=str(path))) from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(Problem(f"not a CSV table: {error}", file=str(path))) from error
    if other := [name for name in header if _IN_OTHER_UNITS.fullmatch(name)]:
        told = f"{', '.join(other)}: times are read in milliseconds, as {LATENCIES[0]}; convert and rename"
        raise InputError(Problem(told, file=str(path), line=1))
    if is_silicon(header):
        return [(line, as_serving_columns(cells)) for line, cells in lines]
    missing = [name for name in REQUIRED if name not in header]
    if missing or not any(name in header for name in (*THROUGHPUTS, *LATENCIES)):
        lacking = ", ".join(missing) or "every measured figure"
        raise InputError(Problem(f"lacks {lacking}; {columns_help()}", file=str(path), line=1))
    return lines


def _number(text: str) -> float | None:
    """The cell's number; None for an empty cell or one that holds none."""
    try:
        return float(text)
    except ValueError:
        return None


def _problems(cells: Mapping[str, str], file: str, line: int) -> Iterable[Problem]:
    """Impossible values of a row."""

    def wrong(name: str, message: str) -> Problem:
        return Problem(message, file=file, line=line, path=name, got=cells.get(name))

    measured = (*LATENCIES, *THROUGHPUTS)
    for name in (*measured, "isl", "osl", "tp", "pp", "dp", "n_gpu", "num_requests", *LIMITS):
        text = cells.get(name, "")
        value = _number(text)
        if not text or (name in LIMITS and text.lower() == "default"):
            continue
        if value is None or not math.isfinite(value):
            yield wrong(name, "is no number; leave the cell empty where nothing was measured")
        elif value < 0 or (value == 0 and name not in ("e2e_p50_ms",)):
            yield wrong(name, "must be above zero")
        elif name in WHOLE and value % 1:
            yield wrong(name, "must be a whole number")
        elif name.endswith("_ms") and value < LEAST_MS.get(name.partition("_")[0], 0.0):
            yield wrong(name, f"is below what any GPU reaches: are these seconds? {name} is in milliseconds")
    yield from _contradictions(cells, wrong)


def _contradictions(cells: Mapping[str, str], wrong: Callable[[str, str], Problem]) -> Iterable[Problem]:
    value = {name: _number(cells.get(name, "")) for name in (*LATENCIES, *THROUGHPUTS, "tp", "pp", "n_gpu")}

    def above(low: str, high: str) -> bool:
        left, right = value[low], value[high]
        return left is not None and right is not None and left > right * (1 + 1e-9)

    for stat in ("mean", "p50", "p90", "p99"):
        for metric, title in (("tpot", "TPOT"), ("ttft", "TTFT")):
            if above(f"{metric}_{stat}_ms", f"e2e_{stat}_ms"):
                yield wrong(f"{metric}_{stat}_ms", f"{title} is above E2E ({cells[f'e2e_{stat}_ms']})")
    for metric in ("ttft", "tpot", "itl", "e2e"):
        for low, high in (("p50", "p90"), ("p90", "p99"), ("p50", "p99")):
            if above(f"{metric}_{low}_ms", f"{metric}_{high}_ms"):
                yield wrong(f"{metric}_{low}_ms", f"is above the {high} ({cells[f'{metric}_{high}_ms']})")
    if above("output_tok_s", "throughput_tok_s"):
        yield wrong("output_tok_s", f"is above the total throughput ({cells['throughput_tok_s']})")


def _row(cells: Mapping[str, str], place: str, row_id: str, folder: Path) -> MeasuredRow:
    def number(name: str, default: float | None = None) -> float | None:
        value = _number(cells.get(name, ""))
        return default if value is None else value

    if not cells["engine"].lower().startswith("vllm"):
        raise NotSupported(f"engine {cells['engine'] or 'not stated'}: the simulated scheduler is vLLM's")
    isl, osl, tp = number("isl"), number("osl"), number("tp")
    if isl is None or osl is None or tp is None:
        lacking = [name for name, value in (("isl", isl), ("osl", osl), ("tp", tp)) if value is None]
        raise NotSupported(f"{', '.join(lacking)} not stated")
    figures = _figures(cells)
    if not figures:
        raise NotSupported("nothing was measured")
    model = str(folder / cells["model"]) if cells["model"].endswith(".json") else model_name(cells["model"])
    gpu = gpu_name(cells["gpu"])
    generated = _stated(cells, gpu, "generated_tokens")
    pp, dp = (int(number(name, 1.0) or 1) for name in ("pp", "dp"))
    n_gpu = number("n_gpu")
    if n_gpu is not None and n_gpu < tp * pp * dp:
        raise NotSupported(f"tp x pp x dp = {tp * pp * dp:.0f} on {n_gpu:.0f} GPUs")
    requests = number("num_requests")
    if requests is not None:
        requests += int(_stated(cells, gpu, "failed_requests") or 0)
    return MeasuredRow(
        place=place,
        row_id=row_id,
        model=model,
        gpu=gpu,
        dtype=weight_format(cells.get("dtype", ""), cells["model"], model, gpu),
        kv_dtype=kv_format(cells.get("kv_dtype", "")),
        tp=int(tp),
        pp=pp,
        dp=dp,
        expert_parallel=(number("ep", 1.0) or 1.0) > 1,
        engine_version=cells.get("engine_version", ""),
        isl=isl,
        osl=osl,
        generated_tokens=float(generated) if generated else osl,
        load=_load(cells["concurrency_or_rate"], cells["arrival"]),
        num_requests=None if requests is None else int(requests),
        dataset=cells.get("dataset", ""),
        workload=cells.get("workload", ""),
        source_path=cells.get("source_path", ""),
        measured_on=cells.get("measured_on", ""),
        endpoint=cells.get("endpoint", "").lower(),
        limits={name: value for name in LIMITS if (value := number(name)) is not None},
        prefix_caching=_switch(cells.get("prefix_caching", "")),
        chunked_prefill=_switch(cells.get("chunked_prefill", "")),
        async_scheduling=_switch(_stated(cells, gpu, "async_scheduling")),
        isl_cv=number("isl_cv"),
        osl_cv=number("osl_cv"),
        figures=figures,
    )


def _stated(cells: Mapping[str, str], gpu: str, name: str) -> str:
    """A column, or where the table lacks it what the notes of its source say in a form of their own."""
    if cells.get(name):
        return cells[name]
    pattern = known_source({**cells, "gpu": gpu, "model": ""}).get("notes", {}).get(name)
    found = re.search(pattern, cells.get("notes", "")) if pattern else None
    return found.group(1) if found else ""


def _figures(cells: Mapping[str, str]) -> Figures:
    figures: dict[tuple[str, str], float] = {}
    for name in LATENCIES:
        value = _number(cells.get(name, ""))
        if value is not None:
            metric, stat, _ = name.split("_")
            figures[metric, stat] = value / MS_PER_S
    for name, key in THROUGHPUTS.items():
        value = _number(cells.get(name, ""))
        if value is not None:
            figures[key] = value
    return figures


def _switch(text: str) -> bool | None:
    word = text.lower()
    if word.removeprefix("likely ").startswith(("off", "false", "no", "0")):
        return False
    return True if word else None


def _load(amount: str, arrival: str) -> Load:
    """Open loop with a rate, closed loop with a concurrency, or everything at once."""
    text, how = amount.lower(), arrival.lower()
    if text.startswith(("inf", "offline")) or re.search(r"\bburst\b|t=0", how):
        return Burst()
    found = _NUMBER.search(text)
    if found is None or float(found.group().replace("_", "")) <= 0:
        raise NotSupported(f"no rate or concurrency in {amount!r}")
    value = float(found.group().replace("_", ""))
    if "req/s" in text or "rps" in text or "qps" in text or "open" in how or "poisson" in how:
        return OpenLoop(value, "constant" if "constant" in how else "poisson")
    return ClosedLoop(round(value))
