"""Paths of a scenario, and values there, as people say them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from simulator.catalog.costs import cost_entries, cost_words
from simulator.catalog.titles import short_title
from simulator.scenario.differences import in_words

_TITLED = ("gpu", "model", "site", "offer")
"""Keys whose values the catalog calls by a title."""
_ENTRIES = {"pools": "pool", "providers": "token API", "classes": "class", "topologies": "topology", "events": "event"}
"""What an entry of a list, or a part that has a name of one's own, is."""
_WHOLE = {
    "arrivals": "arrivals",
    "billing": "billing",
    "isl": "prompt tokens",
    "osl": "answer tokens",
    "max_waiting_per_replica": "waiting per replica, at most",
    "max_num_seqs": "requests running at once, at most",
    "max_num_batched_tokens": "tokens of a step, at most",
    "max_model_len": "tokens of a request, at most",
    "price_usd_per_gpu_hour": "price per GPU-hour [USD]",
    "file": "its file",
}
"""Keys whose parts say less than these words."""
_SHORT = {"gpu": "GPU", "gpus": "GPUs", "slo": "SLO", "ttft": "TTFT", "tpot": "TPOT", "e2e": "E2E", "kv": "KV"}
_SHORT |= {"usd": "USD", "pue": "PUE", "lora": "LoRA"}
_UNITS = {"_tokens_per_s": "tokens/s", "_gb_per_s": "GB/s", "_s": "s"}
_UNITS |= {"_rps": "requests/s", "_usd": "USD", "_gib": "GiB", "_tokens": "tokens"}
"""By the ends of keys, the longer before what they end with."""
_PART = re.compile(r"([^.\[\]]+)((?:\[[^\]]*\])*)")
_VALUES = {"true": "yes", "false": "no", "null": "not said", "": "-"}


def key_words(path: str, scenario: Mapping[str, Any] | None = None) -> str:
    """A path as words: `workload.classes[chat].slo.ttft_s` is `class chat: SLO: TTFT [s]`.

    Parameters
    ----------
    scenario : tells the names of entries that the path gives by their positions; without it, entries of parts that have
        names are named by these
    """
    cost = path.removeprefix("cost.overrides.")
    return cost_words(cost) if cost in cost_entries() else ": ".join(_words(path, scenario)) or path


def _words(path: str, scenario: Mapping[str, Any] | None) -> Iterator[str]:
    node: Any = scenario
    is_name = False
    for part, entries in _PART.findall(path):
        node = node.get(part) if isinstance(node, Mapping) else None
        if is_name:
            yield f"topology {part}"
            is_name = False
        elif part == "topologies" and not entries:
            is_name = True
            continue
        elif not entries and part != "workload":
            yield _key(part)
        for entry in re.findall(r"\[([^\]]*)\]", entries):
            node = _entry(node, entry)
            named = node.get("name") if isinstance(node, Mapping) else None
            is_position = entry.isdigit() and (scenario is not None or part not in _ENTRIES)
            yield f"{_ENTRIES.get(part, _key(part))} {named or (int(entry) + 1 if is_position else entry)}"


def _entry(node: Any, entry: str) -> Any:
    if not isinstance(node, list):
        return None
    by_name = next((one for one in node if isinstance(one, Mapping) and one.get("name") == entry), None)
    if by_name is None and entry.isdigit() and int(entry) < len(node):
        return node[int(entry)]
    return by_name


def _key(key: str) -> str:
    if key in _WHOLE:
        return _WHOLE[key]
    end = next((end for end in _UNITS if key.endswith(end) and key != end), "")
    words = " ".join(_SHORT.get(word, word) for word in key.removesuffix(end).split("_"))
    return f"{words} [{_UNITS[end]}]" if end else words


def value_words(path: str, value: Any) -> str:
    """A value there: an id of the catalog as its title, a choice in words."""
    text = in_words(value)
    key = path.rpartition(".")[2]
    if isinstance(value, str):
        if key in _TITLED:
            return short_title(key, text)
        return text.replace("_", " ") if re.fullmatch(r"[a-z]+(_[a-z]+)+", text) else text
    return _VALUES.get(text, text)


def names_of(summary: Mapping[str, Any]) -> set[str]:
    """Names of one's own in the summary of a run: its scenario, topologies, pools, providers and classes."""
    found = {*summary.get("order", ()), summary.get("scenario", "")}
    for one in summary.get("topologies", {}).values():
        found |= {target["name"] for kind in ("pools", "providers") for target in one.get(kind, ())}
        found |= {term["class"] for term in one.get("metrics", {}).get("slo_terms", ())}
    return found
