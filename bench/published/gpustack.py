"""GPUStack's performance lab: pages of Markdown with the command of a server and what the client printed."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.published.rows import Row, reading

URL = "https://github.com/gpustack/gpustack"
_FENCE = re.compile(r"\s*```")
_RESULT = "Successful requests:"
_ENGINE = re.compile(r"\bvLLM\b|\bSGLang\b|\bTensorRT-LLM\b|\bMindIE\b")
_VERSION = re.compile(r"-\s*vLLM:?\s*v?([\d.]+)")
_VALUED = {
    "-tp": "tp",
    "--tensor-parallel-size": "tp",
    "-pp": "pp",
    "--pipeline-parallel-size": "pp",
    "-dp": "dp",
    "--data-parallel-size": "dp",
    "--max-model-len": "max_model_len",
    "--max-num-batched-tokens": "max_num_batched_tokens",
    "--max-num-seqs": "max_num_seqs",
    "--gpu-memory-utilization": "gpu_mem_util",
    "--kv-cache-dtype": "kv_dtype",
    "--quantization": "dtype",
}
_SWITCHES = {
    "--enable-expert-parallel": {"ep": "2"},
    "--async-scheduling": {"async_scheduling": "on"},
    "--no-async-scheduling": {"async_scheduling": "off"},
    "--no-enable-prefix-caching": {"prefix_caching": "off"},
}
_NO_MATTER = {"--tokenizer-mode", "--reasoning-parser", "--tool-call-parser", "--chat-template", "--seed"}
_NO_MATTER_ALONE = {"--enable-auto-tool-choice", "--trust-remote-code", "--language-model-only"}
_FIGURES = {
    "Successful requests": "num_requests",
    "Request throughput (req/s)": "request_tput_rps",
    "Output token throughput (tok/s)": "output_tok_s",
    "Total Token throughput (tok/s)": "throughput_tok_s",
    "Total token throughput (tok/s)": "throughput_tok_s",
} | {
    f"{said} {metric.upper()} (ms)": f"{metric}_{stat}_ms"
    for metric in ("ttft", "tpot", "itl")
    for said, stat in (("Mean", "mean"), ("Median", "p50"), ("P99", "p99"))
}


CHAT_TOKENS = (200, 400)
"""Mean prompts of ShareGPT on these pages; their random ones have 128, or 1,000 and more."""


class NotRead(Exception):
    """A result that no row can be made of; the text says why."""


@dataclass(frozen=True)
class Page:
    """What a page says once for all of its results, and what stands above the one that is read."""

    path: str
    gpu: str
    version: str
    model: str = ""
    engine: str = ""
    profile: str = ""
    commands: tuple[str, ...] = ()
    rates: Mapping[str, str] = field(default_factory=dict)


def rows(checkout: Path, left_out: Counter[str]) -> Iterator[Row]:
    """Rows of all pages of NVIDIA's GPUs; what cannot be read is counted by its reason.

    Figures that stand on two pages are those of the first: they were copied to the other GPU's page with the rest. A
    client that hands on several tokens at once (median time between two of 0.00 ms) has no TPOT.
    """
    seen: set[tuple[str, ...]] = set()
    for path in sorted((checkout / "docs/performance-lab").rglob("*.md")):
        with reading(path):
            text = path.read_text(encoding="utf-8")
        version, card = _VERSION.search(text), re.search(r"(?:^|-|/)([ahlb]\d{2,3}s?)\b", path.stem)
        if version is None or card is None:
            continue
        page = Page(path.relative_to(checkout).as_posix(), card[1].upper(), version[1], rates=_rates(text))
        for row in _rows_of(page, text.splitlines(), left_out):
            figures = tuple(value for name, value in row.items() if name in _FIGURES.values())
            if figures in seen:
                left_out["the same figures on another page or further up"] += 1
            else:
                seen.add(figures)
                yield row


def _rates(text: str) -> dict[str, str]:
    """Requests/s of each of the page's load profiles, by its title."""
    found = re.findall(r"#####\s+(.+?)\n+\s*```ya?ml\n(.*?)```", text, re.DOTALL)
    said = {title.strip(): re.search(r"request_rate:\s*([\d.]+)", body) for title, body in found}
    return {title: rate[1] for title, rate in said.items() if rate}


def _rows_of(page: Page, lines: list[str], left_out: Counter[str]) -> Iterator[Row]:
    block: list[str] | None = None
    for number, line in enumerate(lines, 1):
        if _FENCE.match(line):
            if block is None:
                block = []
                continue
            text, block = "\n".join(block), None
            if _RESULT in text:
                yield from _of_results(page, text, number, left_out)
            elif "serve " in text or "launch_server" in text or text.strip().startswith("--"):
                page = replace(page, commands=tuple(_commands(text)))
        elif block is not None:
            block.append(line)
        elif line.startswith("###") or _ENGINE.match(line):
            named = _ENGINE.findall(line)
            page = replace(page, engine=named[-1]) if named else page
        elif model := re.match(r"-?\s*([\w.-]+/[\w.-]+)\s*$", line):
            page = page if page.model else replace(page, model=model[1])
        elif profile := re.match(r"- Profile:\s*`(.+)`", line):
            page = replace(page, profile=profile[1])


def _commands(text: str) -> list[str]:
    """Commands of a script without remarks, those that go over several lines joined; flags alone are one."""
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    return [" ".join(lines)] if lines and lines[0].startswith("-") else lines


def _of_results(page: Page, text: str, number: int, left_out: Counter[str]) -> Iterator[Row]:
    """Results of one block, each behind the remark that says what is different with it."""
    parts = re.split(rf"^(?=\s*{_RESULT})", text, flags=re.MULTILINE)
    remarks = [_remark(part) for part in parts[:-1]]
    for place, (remark, part) in enumerate(zip(remarks, parts[1:], strict=True), 1):
        commands = page.commands
        try:
            if len(commands) != 1 and len(commands) != len(remarks):
                raise NotRead(f"{len(commands)} commands above {len(remarks)} results")
            yield _row(page, commands[0 if len(commands) == 1 else place - 1], remark, part, f"{number}-{place}")
        except NotRead as reason:
            left_out[str(reason)] += 1


def _remark(text: str) -> str:
    said = [line.strip("# ") for line in text.splitlines() if line.strip().startswith("#")]
    return said[-1] if said else ""


def _row(page: Page, command: str, remark: str, text: str, place: str) -> Row:
    words = _words(command)
    if "vllm" in words and "serve" in words:
        at = words.index("serve")
        if at + 1 == len(words):
            raise NotRead("a command that breaks off")
        if at > 1:
            raise NotRead(f"set by {words[0].split('=')[0]}")
        model, flags = words[at + 1], words[at + 2 :]
    elif words[0].startswith("--") and page.engine == "vLLM":
        model, flags = page.model, words
    else:
        raise NotRead("another engine")
    if remark.startswith("-"):
        flags += _words(remark)
    figures = {
        name: value for said, name in _FIGURES.items() if (value := _said(text, said)) and float(value.replace(",", ""))
    }
    if "num_requests" not in figures:
        raise NotRead("no request succeeded")
    done = int(figures["num_requests"].replace(",", ""))
    isl, osl = (float(_said(text, f"Total {kind} tokens") or "nan") / done for kind in ("input", "generated"))
    if _said(text, "Median ITL (ms)") == "0.00":
        figures = {name: value for name, value in figures.items() if not name.startswith(("tpot", "itl"))}
    if mean_s := _said(text, "Mean Latency(s)"):
        figures["e2e_mean_ms"] = f"{1e3 * float(mean_s):.0f}"
    return {
        "row_id": f"{page.path.removeprefix('docs/performance-lab/').removesuffix('.md')}:{place}",
        "source": "performance lab of GPUStack",
        "url": URL,
        "source_path": page.path,
        "dataset": "gpustack",
        "workload": "sharegpt" if CHAT_TOKENS[0] < isl < CHAT_TOKENS[1] else "random",
        "model": model,
        "gpu": page.gpu,
        "engine": "vllm",
        "engine_version": page.version,
        "tp": "1",
        "isl": f"{isl:.2f}",
        "osl": f"{osl:.2f}",
        **_load(page, text),
        **figures,
        **_flags(flags),
    }


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        raise NotRead("a command that breaks off") from error


def _said(text: str, name: str) -> str:
    found = re.search(rf"^\s*{re.escape(name)}:\s+([\d.,]+)\s*$", text, re.MULTILINE)
    return found[1] if found else ""


def _load(page: Page, text: str) -> Row:
    """A closed loop where the client held requests back; a profile's rate; else all at once.

    A rate that sends all requests in a second or two, before any has ended, is everything at once.
    """
    users, rate = _said(text, "Maximum request concurrency"), float(page.rates.get(page.profile, "inf"))
    if rate < float(_said(text, "Successful requests")) / 10:
        return {"concurrency_or_rate": f"{rate:g} req/s", "arrival": "open, constant"}
    if users and float(users) < float(_said(text, "Successful requests")):
        return {"concurrency_or_rate": users, "arrival": "closed loop"}
    return {"concurrency_or_rate": "inf", "arrival": "burst"}


def _flags(words: list[str]) -> Row:
    row: Row = {}
    left = [part for word in words for part in word.split("=", 1)]
    while left:
        word = left.pop(0)
        if not left and (word in _VALUED or word in _NO_MATTER):
            raise NotRead("a command that breaks off")
        if word in _VALUED:
            row[_VALUED[word]] = left.pop(0)
        elif word in _SWITCHES:
            row |= _SWITCHES[word]
        elif word in _NO_MATTER:
            left.pop(0)
        elif word not in _NO_MATTER_ALONE:
            raise NotRead(f"set by {word}")
    return row
