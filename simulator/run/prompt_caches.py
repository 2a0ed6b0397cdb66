"""Warnings where prompts that begin alike pay a token API as if they did not."""

from __future__ import annotations

from simulator.resolve.terms import ResolvedTerms
from simulator.resolve.topology import PlannedTopology
from simulator.study.terms import ApiTerms
from simulator.workload.lengths import length_bounds, length_mean
from simulator.workload.spec import WorkloadSpec


def cache_words(planned: PlannedTopology, prices: ResolvedTerms, workload: WorkloadSpec) -> list[str]:
    """Token APIs with a price of cached input that some of what is shared never has: without a cache, or too short."""
    found: list[str] = []
    cheaper = {api.provider for api in prices.terms.apis if _has_cached_price(api)}
    for provider in planned.fleet.providers:
        if provider.name not in cheaper:
            continue
        if not provider.cache.life_s:
            found.append(
                f"{provider.name} has a price of cached input and no cache: all prompts are paid as new "
                "(providers[].cache)"
            )
        else:
            found += _too_short(provider.name, provider.cache.least_tokens, workload)
    return found


def _has_cached_price(api: ApiTerms) -> bool:
    return any(band.cached_input != band.input for band in api.prices)


def _too_short(provider: str, least_tokens: int, workload: WorkloadSpec) -> list[str]:
    """Classes whose shared beginnings are, in the mean, shorter than what the provider keeps."""
    found = []
    for cls in workload.classes:
        if cls.prefixes is None:
            continue
        mean, most = length_mean(cls.prefixes.tokens), length_bounds(cls.prefixes.tokens)[1]
        if mean < least_tokens:
            which, mean_words = ("they", "") if most < least_tokens else ("shorter ones", " in the mean")
            found.append(
                f"beginnings that prompts of {cls.name} share have {mean:,.0f} tokens{mean_words}, and {provider} "
                f"caches those of {least_tokens:,} and more: {which} are paid as new input"
            )
    return found
