"""Scenario and catalog to the nouns of money: what is said wins, the rest is the catalog's, and each figure is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator.catalog.costs import cost_entry
from simulator.catalog.freshness import catalog_day
from simulator.catalog.gpus import gpu
from simulator.catalog.quantity import day_of
from simulator.catalog.servers import server_kind
from simulator.errors import InputError
from simulator.resolve.terms import ResolvedTerms, resolve_terms
from simulator.resolve.topology import plan_topologies
from simulator.scenario.load import load_scenario

TEXT = """\
schema_version: 1
name: terms
model: llama-3.1-8b-instruct
engine: {max_model_len: 8192}
workload:
  classes:
    - name: chat
      arrivals: {kind: poisson, rate_rps: 1}
      lengths: {isl: 300, osl: 60}
      data_class: internal
    - name: night
      arrivals: {kind: poisson, rate_rps: 1}
      lengths: {isl: 300, osl: 60}
      service_tier: batch
      slo: {e2e_s: {p99: 86400}}
"""
RUN = "run: {horizon_s: 60}\n"
OWNED = "{name: base, site: datacentre, gpu: h100-sxm, billing: owned}"
RENTED = "name: rented, site: aws-us-east, gpu: h100-sxm"


def resolve(folder: Path, topology: str, *rest: str) -> ResolvedTerms:
    file = folder / "terms.yaml"
    file.write_text("\n".join([TEXT + "topologies:", f"  one: {topology}", *rest, RUN]))
    (planned,) = plan_topologies(load_scenario(file))
    return resolve_terms(planned)


def refused(folder: Path, topology: str, *rest: str) -> str:
    with pytest.raises(InputError) as caught:
        resolve(folder, topology, *rest)
    problem = caught.value.problems[0]
    assert problem.file == str(folder / "terms.yaml")
    assert problem.line is not None
    assert problem.column is not None
    return str(problem).removeprefix(f"{folder}/")


def pools(*several: str) -> str:
    return f"{{pools: [{', '.join(several)}]}}"


def test_pools_on_one_site_and_gpu_share_its_servers(tmp_path: Path) -> None:
    second, other = (OWNED.replace("base", name) for name in ("more", "other"))
    terms = resolve(tmp_path, pools(OWNED, second, other.replace("h100-sxm", "l40s"))).terms
    assert [(place.site, place.server.gpu, place.pools) for place in terms.owned] == [
        ("datacentre", "h100-sxm", ("base", "more")),
        ("datacentre", "l40s", ("other",)),
    ]
    (place, _) = terms.owned
    assert place.server.capex_usd == cost_entry("onprem.server_capex.8xH100").number()
    assert place.spares is None
    assert place.spare_share == cost_entry("onprem.spare_fraction").number()
    assert place.server.name == "8xh100-sxm"
    assert place.facility.usd_per_kw_month == cost_entry("facility.own_usd_per_kw_month").number()
    assert len(place.facility.co2_kg_per_kwh) == 288


def test_what_a_topology_says_of_its_servers_wins_then_the_scenario_then_the_catalog(tmp_path: Path) -> None:
    own = "servers: [{name: a, site: datacentre, gpus_per_server: 4, capex_usd: 50000, spares: 2, lead_weeks: 10}]"
    general = (
        "servers: [{name: b, site: datacentre, capex_usd: 70000, host_kw: 0.5, space_usd_per_kw_month: 0, pue: 1.2, "
        "electricity_usd_per_kwh: 0.3}, {name: c, site: datacentre, gpu: h100-sxm, host_kw: 0.7}]"
    )
    (place,) = resolve(tmp_path, f"{{pools: [{OWNED}], {own}}}", general).terms.owned
    server = place.server
    assert (server.gpus, server.capex_usd, server.host_kw, place.spares) == (4, 50_000, 0.7, 2)
    assert server.reserved_kw == pytest.approx(0.7 + 4 * gpu("h100-sxm").board_power.value / 1000)
    assert (place.facility.usd_per_kw_month, place.facility.pue) == (0.0, 1.2)
    assert place.facility.electricity_usd_per_kwh == (0.3,)
    assert server.lead_months == pytest.approx(10 * 7 * 24 / 730)
    assert server.maintenance_share_per_year == cost_entry("onprem.maintenance_rate").number()


def test_servers_of_the_catalog_are_named_or_chosen_by_their_gpus(tmp_path: Path) -> None:
    for words in ("server: 4xh100-sxm", "gpus_per_server: 4"):
        (place,) = resolve(tmp_path, pools(OWNED), f"servers: [{{name: a, site: datacentre, {words}}}]").terms.owned
        kind = server_kind("4xh100-sxm")
        assert (place.server.name, place.server.gpus, place.server.capex_usd) == (kind.name, 4, kind.capex.value)
        assert (place.server.host_kw, place.server.reserved_kw) == (kind.host.value, kind.nameplate.value)


def test_hosts_of_smaller_servers_draw_less(tmp_path: Path) -> None:
    small = "servers: [{name: a, site: datacentre, gpus_per_server: 3, capex_usd: 1}]"
    (place,) = resolve(tmp_path, pools(OWNED), small).terms.owned
    assert place.server.host_kw == pytest.approx(3 * cost_entry("power.host_kw").number() / 8)


@pytest.mark.parametrize(
    ("topology", "rest", "told"),
    [
        (
            pools(OWNED),
            "servers: [{name: a, site: datacentre, gpus_per_server: 3}]",
            "terms.yaml:17:53: topologies.one.pools[0].gpu: the catalog has no price of a server with 3 h100-sxm",
        ),
        (
            pools(OWNED.replace("datacentre", "lambda")),
            "",
            "17:68: topologies.one.pools[0].billing: lambda rents out GPUs",
        ),
        (
            f"{{pools: [{OWNED}], servers: [{{name: a, site: colo}}]}}",
            "",
            "topologies.one.servers[0].site: no owned pool of this topology stands there (got colo)",
        ),
        (
            pools(OWNED),
            "servers: [{name: a, site: colo}, {name: b, site: colo, gpu: l40s}, {name: c, site: colo, gpu: L40S}]",
            "servers of colo are given twice",
        ),
        (
            pools(OWNED),
            "servers: [{name: a, site: datacentre, server: 4xl40s}]",
            "18:47: servers[0].server: 4xl40s has l40s, but a pool there h100-sxm",
        ),
        (
            pools(OWNED),
            "servers: [{name: a, site: datacentre, server: 4xh100-sxm, gpus_per_server: 8}]",
            "servers[0].server: 4xh100-sxm has 4 GPUs, but servers[0].gpus_per_server says 8",
        ),
        (pools(OWNED), "servers: [{name: a, site: datacentre, server: 4xh100}]", "did you mean '4xh100-sxm'?"),
        (pools(OWNED), "servers: [{name: a, site: datacenter}]", "did you mean 'datacentre'?"),
        (pools(OWNED), "servers: [{name: a, site: colo, gpus_per_server: 73}]", "less than or equal to 72"),
        (pools(OWNED.replace("}", ", commitments: 1}")), "", "is a term of rented instances, but billing is owned"),
        (pools(f"{{{RENTED}, gpus_per_instance: 2}}"), "", "the catalog has no price of an instance with 2 GPUs"),
        (
            pools(f"{{{RENTED}, gpus_per_instance: 2, tensor_parallel_size: 4, price_usd_per_gpu_hour: 2}}"),
            "",
            "gpus_per_instance: an instance with 2 GPUs cannot hold tensor_parallel_size 4 (got 2)",
        ),
        (
            pools(f"{{{RENTED}, instance: p5.48xlarge, tensor_parallel_size: 16}}"),
            "",
            "pools[0].instance: an instance with 8 GPUs cannot hold tensor_parallel_size 16",
        ),
        (
            pools(f"{{{RENTED}, instance: p4d.24xlarge}}"),
            "",
            "pools[0].instance: p4d.24xlarge has a100-40, not the h100-sxm of this pool",
        ),
        (pools(f"{{{RENTED}, instance: p5.48}}"), "", "did you mean 'p5.48xlarge'?"),
        (pools(f"{{{RENTED}, billing: reserved}}"), "", "'term_months' is missing"),
        (pools(f"{{{RENTED}, billing: reserved_1y, term_months: 24}}"), "", "reserved_1y is a term of 12 months"),
        (
            pools(f"{{{RENTED}, billing: reserved, term_months: 24}}"),
            "",
            "'price_usd_per_gpu_hour' is missing: the catalog has no price of a term of 24 months at aws-us-east",
        ),
        (
            pools(f"{{{RENTED}, billing: capacity_block}}").replace("h100-sxm", "l40s"),
            "",
            "pools[0].gpu: no capacity_block offer of l40s",
        ),
        (
            pools(f"{{{RENTED.replace('aws-us-east', 'lambda')}, tensor_parallel_size: 16}}"),
            "",
            "17:83: topologies.one.pools[0].tensor_parallel_size: no instance at lambda holds 16 h100-sxm",
        ),
        (pools(f"{{{RENTED}, price_usd_per_gpu_hour: 2, price_date: 2026-02-31}}"), "", "is no timestamp"),
        (
            pools(f"{{{RENTED}, price_usd_per_gpu_hour: 2, price_date: spring}}"),
            "",
            "price_date: must be a day, as 2026-11-26",
        ),
        (pools(OWNED), "servers: {datacentre: {spares: 1}}", "servers: must be a list"),
        (pools(f"{{{RENTED}, commitments: 1}}"), "", "commitments: needs billing reserved_1y"),
        (pools(f"{{{RENTED}, price_date: 2026-11-26}}"), "", "'price_usd_per_gpu_hour' is missing"),
    ],
)
def test_servers_and_instances_that_cannot_be_are_refused_at_their_place(
    tmp_path: Path, topology: str, rest: str, told: str
) -> None:
    assert told in refused(tmp_path, topology, rest)


def test_instances_are_paid_whole_and_committed_by_number(tmp_path: Path) -> None:
    (rented,) = resolve(tmp_path, pools(f"{{{RENTED}, tensor_parallel_size: 4}}")).terms.rented
    assert rented.gpus_per_instance == 8
    assert rented.usd_per_instance_hour == (pytest.approx(55.04),)
    assert (rented.minimum_s, rented.granularity_s) == (60, 1)
    assert rented.commitments == ()
    reserved = f"{RENTED}, tensor_parallel_size: 4, replicas: 3, billing: reserved_1y"
    (rented,) = resolve(tmp_path, pools(f"{{{reserved}}}")).terms.rented
    (commitment,) = rented.commitments
    assert (commitment.instances, commitment.term_months) == (2, 12)
    assert commitment.usd_per_instance_hour == pytest.approx(43.3715)
    assert rented.usd_per_instance_hour == (pytest.approx(55.04),)
    (rented,) = resolve(tmp_path, pools(f"{{{reserved}, commitments: auto}}")).terms.rented
    (commitment,) = rented.commitments
    assert commitment.instances is None


def test_a_replica_over_several_instances_takes_whole_ones(tmp_path: Path) -> None:
    wide = f"{RENTED}, tensor_parallel_size: 8, pipeline_parallel_size: 2, replicas: 3, billing: reserved_1y"
    (rented,) = resolve(tmp_path, pools(f"{{{wide}}}")).terms.rented
    (commitment,) = rented.commitments
    assert commitment.instances == 6


def test_terms_of_ones_own_need_no_offer_of_the_catalog(tmp_path: Path) -> None:
    own = (
        "{name: rented, site: azure-us-east, gpu: h100-sxm, billing: reserved, term_months: 60, upfront_share: 0.5, "
        "commitments: 3, gpus_per_instance: 4, price_usd_per_gpu_hour: 1.5, on_demand_usd_per_gpu_hour: 4, "
        "billing_minimum_s: 3600, price_source: a quote, price_date: 2026-11-20}"
    )
    found = resolve(tmp_path, pools(own))
    (rented,) = found.terms.rented
    (commitment,) = rented.commitments
    assert (commitment.usd_per_instance_hour, commitment.term_months) == (6.0, 60)
    assert (commitment.instances, commitment.upfront_share) == (3, 0.5)
    assert rented.usd_per_instance_hour == (16.0,)
    assert rented.minimum_s == 3600
    (price,) = [figure for figure in found.figures if figure.id.endswith(".price_usd_per_gpu_hour")]
    assert (price.value, price.kind, price.source, price.date) == (1.5, "given", "a quote", "2026-11-20")
    assert price.place.endswith("terms.yaml:17:186")


def test_staff_is_the_topologys_else_for_owned_hardware_alone(tmp_path: Path) -> None:
    rented = pools(f"{{{RENTED}}}")
    assert resolve(tmp_path, rented).terms.staff is None
    assert resolve(tmp_path, rented, "cost: {staff: {base_fte: 3}}").terms.staff is None
    staff = resolve(tmp_path, pools(OWNED), "cost: {staff: {base_fte: 3}}").terms.staff
    assert staff is not None
    assert (staff.base_fte, staff.usd_per_fte_year) == (3, cost_entry("onprem.fte_cost").number())
    own = f"{{pools: [{{{RENTED}}}], staff: {{base_fte: 0.2, fte_per_replica: 0.1, usd_per_fte_year: 9}}}}"
    staff = resolve(tmp_path, own, "cost: {staff: {base_fte: 3}}").terms.staff
    assert staff is not None
    assert (staff.base_fte, staff.fte_per_server, staff.fte_per_replica, staff.usd_per_fte_year) == (0.2, 0, 0.1, 9)


def test_fees_stand_at_any_topology(tmp_path: Path) -> None:
    fees = "fees: [{name: licence, usd_once: 5, usd_per_replica_month: 2}, {name: support, share_of_bill: 0.1}]"
    (licence, support) = resolve(tmp_path, f"{{pools: [{{{RENTED}}}], {fees}}}").terms.fees
    assert (licence.name, licence.usd_once, licence.usd_per_replica_month) == ("licence", 5, 2)
    assert (support.name, support.share_of_bill) == ("support", 0.1)


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
        (OWN_API.replace("batch: {", "night: {"), "unknown value 'night'"),
        (OWN_API.replace("price_scale: 2", "residency: true"), "no premium of api for processing in a region"),
    ],
)
def test_price_lists_that_cannot_be_are_refused_at_their_place(tmp_path: Path, provider: str, told: str) -> None:
    assert told in refused(tmp_path, f"{{providers: [{provider}]}}")


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ("{power.pue: 0.5}", "cost.overrides.power.pue: must be at least 1 (ratio) (got 0.5)"),
        ("{power: {pue: 0.5}}", "cost.overrides.power.pue: must be at least 1 (ratio) (got 0.5)"),
        ("{onprem.network_storage_share: -0.1}", "must be from 0 to 1"),
        ("{onprem.maintenance_rate: 3}", "must be from 0 to 1"),
        ("{colo.rate: -1}", "must be at least 0 (USD per kW-month)"),
        ("{onprem.economic_life: 0}", "must be at least 0.0833333 (years)"),
        ("{power.pux: 1}", "unknown cost figure 'power.pux': did you mean 'power.pue'?"),
        ("{onprem.residual_fraction.49m: 0.2}", "unknown part of onprem.residual_fraction '49m'"),
        ("{onprem.residual_fraction.48m: 1.2}", "must be from 0 to 1"),
    ],
)
def test_overrides_beyond_what_a_figure_can_be_are_refused_at_their_place(
    tmp_path: Path, overrides: str, told: str
) -> None:
    text = refused(tmp_path, pools(OWNED), "cost:", f"  overrides: {overrides}")
    assert told in text
    assert text.startswith("terms.yaml:19:")


def test_an_override_holds_for_a_part_of_a_table_or_for_all_of_it(tmp_path: Path) -> None:
    part = resolve(tmp_path, pools(OWNED), "cost: {overrides: {onprem.residual_fraction.12m: 0.9}}")
    whole = resolve(tmp_path, pools(OWNED), "cost: {overrides: {onprem.residual_fraction: 0.0}}")
    first = [found.terms.owned[0].server.resale_share_by_age for found in (part, whole)]
    assert first[0][0] == (1.0, 0.9)
    assert first[0][1] == (2.0, 0.425)
    assert {share for _, share in first[1]} == {0.0}
    assert part.used_overrides == {"onprem.residual_fraction.12m"}


def test_an_override_is_set_by_its_dotted_name() -> None:
    scenario = Path("tests/data/scenarios/small.yaml")
    (planned, _) = plan_topologies(load_scenario(scenario, sets=["cost.overrides.power.host_kw=1"]))
    assert resolve_terms(planned).terms.owned[0].server.host_kw == 1.0


def test_every_figure_that_was_used_has_a_source_and_a_day_or_a_place(tmp_path: Path) -> None:
    both = f"{{pools: [{OWNED}, {{{RENTED}}}], providers: [{{name: api, offer: openai/gpt-4o-mini}}]}}"
    found = resolve(tmp_path, both, "cost: {discount_rate: 0.05}")
    by_id = {figure.id: figure for figure in found.figures}
    assert len(by_id) == len(found.figures)
    for figure in found.figures:
        assert np.isfinite(figure.value)
        assert figure.unit
        assert (figure.source and figure.date) if figure.kind != "given" else figure.place
    assert by_id["cost.discount_rate"].place == f"{tmp_path}/terms.yaml:18:23"
    for name in ("onprem.server_capex.8xH100", "aws-us-east/h100-sxm/on_demand", "onprem.fte_per_cluster"):
        assert name in by_id
    assert "onprem.wacc" not in by_id
    assert {figure.id for figure in found.stale} >= {"power.pue"}
    assert all((catalog_day() - day_of(figure.date)).days > 365 for figure in found.stale)
    assert found.unknown == ()


def test_the_cost_of_capital_is_named_where_it_moves_a_line(tmp_path: Path) -> None:
    owned, rented = resolve(tmp_path, pools(OWNED)), resolve(tmp_path, pools(f"{{{RENTED}}}"))
    assert "onprem.wacc" in owned.estimates
    assert "onprem.wacc" not in rented.estimates
    assert owned.terms.discount_rate_per_year == rented.terms.discount_rate_per_year
    given = resolve(tmp_path, pools(f"{{{RENTED}}}"), "cost: {overrides: {onprem.wacc: 0.2}}")
    assert given.terms.discount_rate_per_year == 0.2
    assert given.used_overrides == {"onprem.wacc"}


def test_a_dated_price_of_ones_own_grows_old(tmp_path: Path) -> None:
    price = "price_usd_per_gpu_hour: 2, price_source: a quote"
    old, fresh, undated = (
        resolve(tmp_path, pools(f"{{{RENTED}, {price}{day}}}")).stale
        for day in (", price_date: 2024-01-31", ", price_date: 2026-11-20", "")
    )
    own = [[figure.id for figure in found if figure.kind == "given"] for found in (old, fresh, undated)]
    assert own == [["topologies.one.pools[0].price_usd_per_gpu_hour"], [], []]


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


def test_capacity_blocks_are_paid_by_whole_days(tmp_path: Path) -> None:
    found = resolve(tmp_path, pools(f"{{{RENTED}, tensor_parallel_size: 8, billing: capacity_block}}"))
    (terms,) = found.terms.rented
    assert terms.usd_per_instance_hour == pytest.approx((8 * 5.97,))
    assert (terms.minimum_s, terms.granularity_s) == (86_400, 86_400)
    (usual,) = resolve(tmp_path, pools(f"{{{RENTED}, tensor_parallel_size: 8}}")).terms.rented
    assert (usual.minimum_s, usual.granularity_s) == (60, 1)


def test_several_commitments_and_the_rest_on_demand(tmp_path: Path) -> None:
    mix = (
        "commitments: [{term_months: 36, instances: 2}, {term_months: 12}, {term_months: 6, price_usd_per_gpu_hour: 2}]"
    )
    eight = f"{RENTED}, instance: p5.48xlarge"
    (rented,) = resolve(tmp_path, pools(f"{{{eight}, {mix}}}")).terms.rented
    long, year, own = rented.commitments
    assert [(one.term_months, one.instances) for one in rented.commitments] == [(36, 2), (12, None), (6, None)]
    assert long.usd_per_instance_hour < year.usd_per_instance_hour < rented.usd_per_instance_hour[0]
    assert own.usd_per_instance_hour == 2.0 * rented.gpus_per_instance
    (every,) = resolve(tmp_path, pools(f"{{{eight}, commitments: auto}}")).terms.rented
    assert [(one.term_months, one.instances) for one in every.commitments] == [(12, None), (36, None)]


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ("commitments: [{term_months: 7}]", "'price_usd_per_gpu_hour' is missing: the catalog has no term of 7 months"),
        ("commitments: [{term_months: 12}, {term_months: 12, instances: 1}]", "another commitment has the same term"),
        ("billing: reserved_1y, commitments: [{term_months: 36}]", "a list of them needs billing on_demand"),
        ("billing: spot, commitments: auto", "commitments: needs billing reserved_1y"),
        ("commitments: [{instances: 2}]", "commitments[0]: 'term_months' is missing"),
        ("commitments: [{term_months: 12, months: 3}]", "commitments[0].months: unknown key 'months'"),
        ("commitments: some", "commitments: "),
        ("commitments: auto", "no term of h100-sxm in instances of 1 at aws-us-east: 'gpus_per_instance: 8' has some"),
    ],
)
def test_commitments_that_cannot_be_are_refused_at_their_place(tmp_path: Path, terms: str, words: str) -> None:
    assert words in refused(tmp_path, pools(f"{{{RENTED}, {terms}}}"))
