"""A memory plan on stdout: a table for people, JSON for programs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from simulator.cli.output import print_json, print_table
from simulator.memory.cache import Group
from simulator.resolve.advice import ways_out
from simulator.resolve.memory import Answer
from simulator.resolve.memory_notes import notes_of_plan, notes_of_version
from simulator.resolve.memory_question import Question
from simulator.resolve.memory_table import Row
from simulator.resolve.refused_weights import not_in_step_time
from simulator.units import BYTES_PER_GIB

_KINDS = {
    "full": "full attention",
    "window": "sliding window",
    "chunk": "chunked attention",
    "latent": "latent attention",
    "state": "recurrent state",
    "ring": "row being compressed",
    "cross": "encoded input",
}


def print_answer(answer: Answer, form: str) -> int:
    """Print one plan."""
    if form == "json":
        print_json(as_json(answer))
        return 0
    plan, terms = answer.plan, answer.plan.terms
    print(
        f"{answer.shape.name} on {answer.request.split.gpus} x {answer.card.name}, vLLM {answer.rules.version}: "
        + ("starts" if plan.fits else "does not start")
    )
    for refusal in plan.refusals:
        print(f"  {refusal}")
    print()
    graphs = "CUDA graphs" if terms.graphs_in_budget else "CUDA graphs (outside the budget)"
    rows = [
        ("total memory", terms.total_bytes),
        (f"usable at {answer.request.gpu_memory_utilization:g}", terms.usable_bytes),
        ("weights", terms.weight_bytes),
        ("activation peak", terms.activation_bytes),
        ("non-torch", terms.runtime_bytes),
        (graphs, terms.graph_bytes),
        ("KV cache", terms.kv_bytes),
    ]
    print_table([[name, f"{value / BYTES_PER_GIB:.2f}"] for name, value in rows], ["per GPU", "GiB"])
    print()
    groups = [[_KINDS[kind], count, layers, tokens] for kind, count, layers, tokens in _groups(plan.groups)]
    print_table(groups, ["KV groups", "groups", "layers each", "tokens a block"])
    limits = answer.request.limits
    print()
    print(
        f"KV blocks {plan.num_blocks:,}; {plan.kv_tokens:,} tokens; at max_model_len {plan.max_model_len:,}: "
        f"{plan.max_concurrency:.2f} requests at once"
    )
    print(f"max_num_batched_tokens {limits.max_num_batched_tokens}, max_num_seqs {limits.max_num_seqs}")
    for way in ways_out(answer):
        print(f"would start: {way}")
    for note in notes_of_plan(answer):
        print(note)
    for words in not_in_step_time(answer):
        print(f"not in the step-time model: {words}")
    return 0


def _groups(groups: tuple[Group, ...]) -> list[tuple[str, int, int, int]]:
    """Kind, number of such groups, layers, tokens of a block; groups alike on one line."""
    found: dict[tuple[str, int, int], int] = {}
    for group in groups:
        key = (group.page.kind, len(group.members), group.page.tokens)
        found[key] = found.get(key, 0) + 1
    return [(kind, count, layers, tokens) for (kind, layers, tokens), count in found.items()]


def as_json(answer: Answer) -> dict[str, Any]:
    """Every term in GiB, blocks by group, and the limits that were taken."""
    plan, terms, request = answer.plan, answer.plan.terms, answer.request
    gib = {
        "total_gib": terms.total_bytes,
        "usable_gib": terms.usable_bytes,
        "weights_gib": terms.weight_bytes,
        "activation_gib": terms.activation_bytes,
        "non_torch_gib": terms.runtime_bytes,
        "cuda_graphs_gib": terms.graph_bytes,
        "kv_gib": terms.kv_bytes,
    }
    return {
        "model": answer.shape.name,
        "gpu": answer.card.name,
        "version": answer.rules.version,
        "tp": request.split.tp,
        "pp": request.split.pp,
        "dp": request.split.dp,
        "gpu_memory_utilization": request.gpu_memory_utilization,
        "max_num_batched_tokens": request.limits.max_num_batched_tokens,
        "max_num_seqs": request.limits.max_num_seqs,
        "max_model_len": plan.max_model_len,
        **{name: round(value / BYTES_PER_GIB, 4) for name, value in gib.items()},
        "cuda_graphs_in_budget": terms.graphs_in_budget,
        "block_bytes": terms.block_bytes,
        "num_blocks": plan.num_blocks,
        "kv_tokens": plan.kv_tokens,
        "max_concurrency": round(plan.max_concurrency, 4),
        "longest_that_fits": plan.longest_that_fits,
        "groups": [
            {
                "kind": group.page.kind,
                "layers": len(group.members),
                "block_tokens": group.page.tokens,
                "reach_tokens": group.page.reach,
                "block_bytes": sum(group.member_bytes),
            }
            for group in plan.groups
        ],
        "fits": plan.fits,
        "refusals": list(plan.refusals),
        "ways_out": ways_out(answer),
        "notes": list(notes_of_plan(answer)),
        "not_in_step_time": not_in_step_time(answer),
    }


def print_rows(rows: list[Row], form: str) -> int:
    """Print the answers to a table of questions; what is not known of a version, once, beside them."""
    found = [row.as_json() for row in rows]
    versions = (row.answer.question.version for row in rows if row.answer is not None)
    for note in dict.fromkeys(note for version in versions for note in notes_of_version(version)):
        print(f"servecast: {note}", file=sys.stderr)
    if form == "json":
        print_json({"rows": found})
    else:
        print_table(
            [["" if value is None else str(value) for value in row.values()] for row in found],
            list(found[0]) if found else [],
        )
    return 0


def print_comparison(log: Path, question: Question, form: str) -> int:
    """Print a start-up log beside the plan."""
    from simulator.resolve.memory_log import compare

    found = compare(log, question)
    if form == "json":
        print_json({"rows": found.rows, "notes": list(found.left_out)})
        return 0
    for note in found.left_out:
        print(note, end="\n\n")
    print_table(
        [[_shown(value) for value in row.values()] for row in found.rows], ["term", "log", "plan", "difference"]
    )
    return 0


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
