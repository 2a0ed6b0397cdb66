"""Token APIs: prices of one day by prompt length and service tier, and the rules of their caches."""

from __future__ import annotations

from datetime import date

import pytest

from simulator.catalog.freshness import catalog_day
from simulator.catalog.listing import provenance
from simulator.catalog.models import model
from simulator.catalog.sites import site
from simulator.catalog.tokens import TokenOffer, token_offer, token_offers
from simulator.resolve.places import provider_spec


@pytest.mark.parametrize("offer", token_offers().values(), ids=lambda offer: offer.id)
def test_every_offer_has_dated_prices_within_bounds(offer: TokenOffer) -> None:
    assert site(offer.site).kind == "api"
    assert offer.id.startswith(f"{offer.site}/")
    if offer.model is not None:
        assert model(offer.model)
    assert date(2026, 10, 1) < date.fromisoformat(offer.prices.date) <= catalog_day()
    limits = [band.above_input_tokens for band in offer.prices.bands]
    assert limits[0] == 0
    assert limits == sorted(set(limits))
    for band in offer.prices.bands:
        assert 0.01 <= band.input <= band.output * 1.01 <= 200
        assert band.cached_input is None or 0 < band.cached_input < band.input
        assert band.cache_write is None or band.input <= band.cache_write <= 2 * band.input
    for low, high in zip(offer.prices.bands, offer.prices.bands[1:], strict=False):
        assert high.input > low.input
    for tier, bands in offer.prices.tiers.items():
        for band in bands:
            assert band.above_input_tokens in limits
            usual = offer.price(band.above_input_tokens + 1)
            for kind in ("input", "output", "cached_input", "cache_write"):
                price = getattr(band, kind)
                if price is not None:
                    low, high = (1, 3) if tier == "priority" else (0.49, 1)
                    assert low <= price / getattr(usual, kind) <= high
    assert provider_spec(offer, "v").name == "v"


@pytest.mark.parametrize("offer", token_offers().values(), ids=lambda offer: offer.id)
def test_who_sells_cached_input_says_how_the_cache_works(offer: TokenOffer) -> None:
    assert (offer.cache is not None) == (offer.prices.bands[0].cached_input is not None)
    if offer.cache is not None:
        assert 60 <= offer.cache.life.value <= 86400
        assert 1 <= offer.cache.step.value <= offer.cache.least.value <= 4096
        for figure in (offer.cache.life, offer.cache.least):
            assert figure.low is None or figure.low <= figure.value <= (figure.high or figure.value)


def test_published_prices_and_cache_rules() -> None:
    mini = token_offer("openai/gpt-4o-mini")
    assert (mini.price(1).input, mini.price(1).cached_input, mini.price(1).output) == (0.15, 0.075, 0.6)
    assert mini.cache is not None
    assert (mini.cache.life.value, mini.cache.least.value, mini.cache.step.value) == (300, 1024, 128)
    haiku = token_offer("anthropic/claude-haiku-4-5")
    assert haiku.price(1).cache_write == 1.25 * haiku.price(1).input
    assert haiku.cache is not None
    assert haiku.cache.least.value == 4096
    assert token_offer("anthropic/claude-opus-5").cache.least.value == 512  # type: ignore[union-attr]
    assert token_offer("deepseek/deepseek-v4-pro").prices.peak.hours_utc == (1, 2, 3, 6, 7, 8, 9)  # type: ignore[union-attr]
    assert token_offer("together/gpt-oss-120b").cache is None


@pytest.mark.parametrize(
    ("name", "tier", "source"),
    [
        ("azure-openai/o3", "batch", "Azure OpenAI pricing page"),
        ("azure-openai/o4-mini", "batch", "Azure OpenAI pricing page"),
        ("aws-bedrock/nova-pro", "batch", "Amazon Bedrock pricing page"),
        ("aws-bedrock/llama-3.3-70b", "batch", "Amazon Bedrock pricing page"),
        ("google/gemini-3.8-flash", "flex", "Gemini API, flex inference"),
    ],
)
def test_tiers_that_another_source_is_for_say_so(name: str, tier: str, source: str) -> None:
    """Half of input and output; what the source does not speak of stays as it is."""
    offer = token_offer(name)
    (band,) = next(bands for key, bands in offer.prices.tiers.items() if key == tier)
    usual = offer.price(1)
    assert (band.input, band.output, band.cached_input) == (usual.input / 2, usual.output / 2, None)
    rows = {row["figure"]: row for row in provenance("token_offers", name)}
    assert rows[f"{tier} input"]["source"].startswith(source)
    assert (rows[f"{tier} input"]["kind"], rows["input"]["kind"]) == ("derived", "sourced")
    assert rows["input"]["source"].startswith("genai-prices")


def test_the_band_is_that_of_the_requests_own_prompt() -> None:
    offer = token_offer("google/gemini-2.5-pro")
    assert offer.price(0).input == offer.price(200_000).input == 1.25
    assert offer.price(200_001).input == 2.5
    assert token_offer("anthropic/claude-haiku-5-5").price(100_001).output == 2.5
    assert not token_offer("together/gpt-oss-120b").prices.tiers


def test_residency_costs_more_for_new_models_alone() -> None:
    assert token_offer("openai/gpt-5").residency_premium == 0
    assert token_offer("openai/gpt-6-sol").residency_premium == 0.1
    assert token_offer("groq/gpt-oss-120b").residency_premium is None


def test_prices_print_with_their_source() -> None:
    rows = {row["figure"]: row for row in provenance("token_offers", "openai/gpt-6-sol")}
    assert rows["cache_write above 272000 tokens"]["value"] == 5
    assert rows["batch cache_write above 272000 tokens"]["value"] == 2.5
    assert rows["input above 0 tokens"]["date"] == "2026-11-10"
    assert rows["cache.life"]["unit"] == "s"
