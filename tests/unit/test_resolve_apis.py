"""Price lists of providers: bands, tiers, units bought ahead, prices of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from terms_cases import RUN, TEXT, refused, resolve

from simulator.resolve.terms import resolve_terms
from simulator.resolve.topology import plan_topologies
from simulator.scenario.load import load_scenario
from simulator.study.contract import Volume, VolumeStep

OWN_API = (
    "{name: api, prices: [{input: 1, output: 2, cached_input: 0.1}, {above_tokens: 1000, input: 3, output: 4, "
    "cache_write: 5}], ttft_s: {median: 0.5, sigma: 0.2}, tpot_s: {median: 0.01}, data_classes: [internal], "
    "service_tiers: {batch: {price_factor: {input: 0.5, output: 0.25}}}, bills_failed: true, "
    "price_source: a contract, price_date: 2026-11-01, price_scale: 2, fixed_usd_per_month: 100, "
    "requests_per_minute: 60}"
)


def test_an_api_of_ones_own_needs_no_offer_of_the_catalog(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(TEXT + f"topologies:\n  one: {{providers: [{OWN_API}]}}\n" + RUN)
    (planned,) = plan_topologies(load_scenario(file))
    (spec,) = planned.fleet.providers
    assert (spec.ttft_median_s, spec.ttft_sigma, spec.tpot_median_s, spec.requests_per_minute) == (0.5, 0.2, 0.01, 60)
    assert planned.fleet.classes[0].allowed == (True,)
    (api,) = resolve_terms(planned).terms.apis
    assert [(p.above_tokens, p.input, p.cached_input, p.cache_write, p.output) for p in api.prices] == [
        (0, 2.0, 0.2, 2.0, 4.0),
        (1000, 6.0, 6.0, 10.0, 8.0),
    ]
    assert api.tier_by_class == ("", "batch")
    (batch,) = api.tiers
    assert (batch.name, [p.by_kind for p in batch.prices]) == ("batch", [(1.0, 0.2, 2.0, 1.0), (3.0, 6.0, 10.0, 2.0)])
    assert (api.bills_failed, api.fixed_usd_per_month) == (True, 100)


def test_prices_by_volume_are_read_as_they_are_written(tmp_path: Path) -> None:
    steps = "[{above_tokens_per_month: 1.0e+9, price_factor: 0.9}, {above_tokens_per_month: 10e9, price_factor: 0.5}]"
    more = f"free_tokens_per_month: 1e6, volume_prices: {{mode: all_tokens, steps: {steps}}}"
    found = resolve(tmp_path, f"{{providers: [{OWN_API.replace('price_scale: 2', more)}]}}")
    assert found.terms.apis[0].volume == Volume((VolumeStep(1e9, 0.9), VolumeStep(10e9, 0.5)), True, 1e6)
    told = {figure.id.rpartition("providers[0].")[2]: figure.value for figure in found.figures}
    assert (told["free_tokens_per_month"], told["volume_prices.steps[1].price_factor"]) == (1e6, 0.5)


@pytest.mark.parametrize(
    ("limits", "right"),
    [
        ("", (5000.0, 4e6, 0.0, 0.0)),
        ("input_tokens_per_minute: 500000", (5000.0, 0.0, 5e5, 0.0)),
        ("output_tokens_per_minute: 80000, limit_weights: {}", (5000.0, 0.0, 0.0, 8e4)),
        ("input_tokens_per_minute: 0, output_tokens_per_minute: 0", (5000.0, 0.0, 0.0, 0.0)),
        ("input_tokens_per_minute: 500000, limit_weights: {cached_input: 0}", (5000.0, 0.0, 5e5, 0.0)),
        ("input_tokens_per_minute: 5e5, tokens_per_minute: 6e5, limit_weights: {output: 2}", (5000.0, 6e5, 5e5, 0.0)),
    ],
)
def test_limits_of_prompts_and_answers_stand_for_the_offers_estimate(
    tmp_path: Path, limits: str, right: tuple[float, ...]
) -> None:
    file = tmp_path / "limits.yaml"
    offer = f"name: api, offer: together/llama-3.3-70b, {limits}"
    file.write_text(TEXT + f"topologies:\n  one: {{providers: [{{{offer}}}]}}\n" + RUN)
    (planned,) = plan_topologies(load_scenario(file))
    assert planned.fleet.providers[0].limits_per_minute == right


def test_provisioned_units_let_through_what_is_bought(tmp_path: Path) -> None:
    units = "provisioned_units: 3, usd_per_unit_hour: 2, tokens_per_minute_per_unit: 1000"
    provider = f"{{name: api, offer: together/llama-3.3-70b, {units}}}"
    file = tmp_path / "units.yaml"
    file.write_text(TEXT + f"topologies:\n  one: {{providers: [{provider}]}}\n" + RUN)
    (planned,) = plan_topologies(load_scenario(file))
    assert planned.fleet.providers[0].tokens_per_minute == 3000
    (api,) = resolve_terms(planned).terms.apis
    assert (api.provisioned_units, api.usd_per_unit_hour) == (3, 2)


@pytest.mark.parametrize(
    ("provider", "told"),
    [
        ("{name: api, ttft_s: {median: 1}, tpot_s: {median: 1}, data_classes: [internal]}", "'prices' is missing"),
        (OWN_API.replace("data_classes: [internal], ", ""), "'data_classes' is missing"),
        (OWN_API.replace("above_tokens: 1000", "above_tokens: 0"), "prices[1].above_tokens: must be above"),
        (OWN_API.replace("{input: 1,", "{above_tokens: 5, input: 1,"), "prices[0].above_tokens: must be 0"),
        (OWN_API.replace("price_scale", "provisioned_units"), "'usd_per_unit_hour' is missing"),
        (OWN_API.replace("price_scale", "usd_per_unit_hour"), "'provisioned_units' is missing"),
        (OWN_API.replace("price_scale", "term_months"), "'provisioned_units' is missing"),
        (OWN_API.replace("price_scale: 2", "upfront_share: 0.5"), "'term_months' is missing"),
        (OWN_API.replace("price_scale: 2", "limit_weights: {output: 8}"), "limit_weights: weighs nothing"),
        (
            OWN_API.replace("price_scale: 2", "output_tokens_per_minute: 9, limit_weights: {cached_input: 0}"),
            "limit_weights: weighs nothing",
        ),
        (
            OWN_API.replace("price_scale: 2", "input_tokens_per_minute: 9, limit_weights: {output: 8}"),
            "limit_weights.output: weighs nothing: a limit of output tokens counts each once",
        ),
        (
            "{name: api, offer: openai/gpt-4o, input_tokens_per_minute: 9, limit_weights: {output: 8}}",
            "limit_weights.output: weighs nothing",
        ),
        (OWN_API.replace("price_scale: 2", "reserved_output_tokens: 9"), "reserved_output_tokens: takes nothing"),
        (
            OWN_API.replace("price_scale: 2", "input_tokens_per_minute: 9, reserved_output_tokens: 9"),
            "reserved_output_tokens: takes nothing",
        ),
        (
            OWN_API.replace(
                "price_scale: 2",
                "provisioned_units: 1, usd_per_unit_hour: 1, tokens_per_minute_per_unit: 9, reserved_output_tokens: 9",
            ),
            "reserved_output_tokens: must be left out: units are given back",
        ),
        (
            OWN_API.replace(
                "price_scale: 2",
                "volume_prices: {steps: [{above_tokens_per_month: 9, price_factor: 1}, "
                "{above_tokens_per_month: 9, price_factor: 1}]}",
            ),
            "volume_prices.steps[1].above_tokens_per_month: must be above",
        ),
        (OWN_API.replace("price_scale: 2", "volume_prices: {steps: []}"), "volume_prices.steps"),
        (OWN_API.replace("batch: {", "night: {"), "unknown value 'night'"),
        (OWN_API.replace("price_scale: 2", "residency: true"), "no premium of api for processing in a region"),
    ],
)
def test_price_lists_that_cannot_be_are_refused_at_their_place(tmp_path: Path, provider: str, told: str) -> None:
    assert told in refused(tmp_path, f"{{providers: [{provider}]}}")


@pytest.mark.parametrize(
    ("settings", "right"),
    [
        ("offer: openai/gpt-4.1", (1.0, 0.5, 1.0, 4.0)),
        ("offer: openai/gpt-5", (0.625, 0.0625, 0.625, 5.0)),
        ("offer: groq/gpt-oss-120b", (0.075, 0.075, 0.075, 0.3)),
        ("offer: anthropic/claude-haiku-4-5", (0.5, 0.05, 0.625, 2.5)),
        ("offer: google/gemini-2.5-flash", (0.15, 0.03, 0.15, 1.25)),
        ("offer: groq/gpt-oss-120b, price_scale: 2", (0.15, 0.15, 0.15, 0.6)),
        ("offer: groq/gpt-oss-120b, prices: [{input: 1, cached_input: 0.5, output: 4}]", (0.5, 0.5, 0.5, 2.0)),
        ("offer: groq/gpt-oss-120b, service_tiers: {batch: {window_s: 60}}", (0.075, 0.075, 0.075, 0.3)),
        ("offer: groq/gpt-oss-120b, service_tiers: {batch: {price_factor: 0}}", (0.0, 0.0, 0.0, 0.0)),
    ],
)
def test_a_batch_pays_each_kind_of_token_what_its_provider_asks(
    tmp_path: Path, settings: str, right: tuple[float, ...]
) -> None:
    """Input, cached input, cache write, output: half of all of them at few providers only."""
    found = resolve(tmp_path, f"{{providers: [{{name: api, data_classes: [internal], {settings}}}]}}")
    (batch,) = found.terms.apis[0].tiers
    assert batch.prices[0].by_kind == pytest.approx(right)


def test_a_prompt_too_long_for_a_tier_pays_the_standard_price(tmp_path: Path) -> None:
    file = tmp_path / "long.yaml"
    provider = "{providers: [{name: api, data_classes: [internal], offer: openai/gpt-5.4}]}"
    file.write_text(
        TEXT.replace("service_tier: batch", "service_tier: priority") + f"topologies:\n  one: {provider}\n" + RUN
    )
    (api,) = resolve_terms(plan_topologies(load_scenario(file))[0]).terms.apis
    (priority,) = api.tiers
    assert [band.by_kind for band in priority.prices] == [(5.0, 0.5, 5.0, 30.0), api.prices[1].by_kind]


@pytest.mark.parametrize(
    ("settings", "right"),
    [
        ("offer: together/llama-3.3-70b, service_tiers: {batch: {price_factor: 0.5}}", (1.0, 0.0)),
        ("offer: together/llama-3.3-70b, service_tiers: {batch: {latency_factor: 3}}", (3.0, 0.0)),
        ("offer: openai/gpt-4.1, service_tiers: {batch: {latency_factor: 1.5, window_s: 60}}", (1.5, 60.0)),
        ("offer: openai/gpt-4.1, service_tiers: {batch: {window_s: 60}}", (1.0, 60.0)),
        ("offer: openai/gpt-4.1", (1.0, 86_400.0)),
        ("offer: together/llama-3.3-70b", (1.0, 0.0)),
    ],
)
def test_a_tier_is_as_quick_as_the_usual_one_unless_its_factor_or_window_says_otherwise(
    tmp_path: Path, settings: str, right: tuple[float, float]
) -> None:
    """Of the class that asks for batches, and never of the other one."""
    file = tmp_path / "tiers.yaml"
    provider = f"{{name: api, data_classes: [internal], {settings}}}"
    file.write_text(TEXT + f"topologies:\n  one: {{providers: [{provider}]}}\n" + RUN)
    (spec,) = plan_topologies(load_scenario(file))[0].fleet.providers
    found = [(tier.latency_factor, tier.batch_window_s) for tier in spec.tier_by_class]
    assert found == [(1.0, 0.0), right]
