"""Which question a place of the scenario was made of, so that what is wrong with it is told there."""

from __future__ import annotations

import re
from collections.abc import Sequence

from simulator.errors import Problem
from simulator.questions.answers import questions
from simulator.workload.pieces import is_trace

_MADE_OF: Sequence[tuple[str, str]] = (
    (r"model", "model"),
    (r"engine.*", "quantization"),
    (r"workload\.classes\[1\]\.(data_class|name)", "other_data_class"),
    (r".*\.data_class", "data_class"),
    (r".*\.arrivals\.think_s", "think_s"),
    (r".*\.arrivals\.turns", "turns"),
    (r".*\.arrivals.*", "amount"),
    (r".*\.(prefixes|arrivals\.system_tokens).*", "cached_share"),
    (r".*\.lengths\.osl.*", "osl"),
    (r".*\.lengths.*", "isl"),
    (r".*\.slo\.ttft_s.*", "ttft_s"),
    (r".*\.slo\.tpot_s.*", "tpot_s"),
    (r"topologies\.(on_prem|cloud)_.*", "other_gpus"),
    (r".*\.hardware\.name", "own_gpu"),
    (r".*\.hardware\.peaks_tflops\.fp8", "fp8_tflops"),
    (r".*\.hardware\.peaks_tflops.*", "bf16_tflops"),
    (r".*\.hardware\.(memory_gib|bandwidth_gb_per_s|board_power_w)", r"\1"),
    (r".*\.replicas", "owned_gpus"),
    (r".*\.price_usd_per_gpu_hour", "rent_usd_per_gpu_hour"),
    (r"topologies\.cloud\.pools\[0\]\.(gpu|site|billing).*", "site"),
    (r".*\.pools\[\d+\].*", "gpu"),
    (r".*\.prices\[0\]\.(input|output)", r"api_\1_usd"),
    (r".*\.prices\[0\]\.cached_input", "api_cached_usd"),
    (r".*\.providers\[0\]\.(ttft_s|tpot_s).*", r"api_\1"),
    (r".*\.providers\[0\].*", "offer"),
    (r"servers\[0\]\.(gpus_per_server)", r"\1"),
    (r"servers\[0\].*", "server_usd"),
    (r"currency\.code", "currency"),
    (r"currency\.usd_per_unit", "usd_per_unit"),
    (r"currency\.date", "rate_date"),
    (r"currency\.source", "rate_source"),
    (r"study\.months", "months"),
    (r"study\.periods.*", "hours"),
    (r"name", "name"),
    (r"study\.growth.*", "growth_per_month"),
)
"""Patterns of places, and the question; the first that matches."""


def question_of(problem: Problem) -> str | None:
    """Name of the question at which a problem belongs, `amount` for that of the three that was answered; None for none.

    Parameters
    ----------
    problem : of `scenario_text`, whose path is the question's name, or of the scenario that it made
    """
    path = problem.path or ""
    if (problem.file or "").endswith(".json"):
        return "model"
    if problem.file and is_trace(problem.file):
        return "trace"
    if any(path == asked.name for asked in questions()):
        return path
    return next((re.sub(pattern, name, path) for pattern, name in _MADE_OF if re.fullmatch(pattern, path)), None)
