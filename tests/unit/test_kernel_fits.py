"""Fits of kernel tables: synthetic tables give their parameters back; tables that cannot be used are named."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from calibrate.kernels.attention import fallback_factor, fit_attention
from calibrate.kernels.build import build_all, systems, write_profiles
from calibrate.kernels.collectives import fit_collective, fit_stream, in_bytes
from calibrate.kernels.experts import fit_experts
from calibrate.kernels.gemm import Format, fit_gemm
from calibrate.kernels.report import residual_rows, section
from calibrate.kernels.tables import Tables, find_tables
from calibrate.kernels.transfer import fill_formats, lend_sinks, share_launches, transferred
from calibrate.sections import write_section
from simulator.catalog.gpus import gpu
from simulator.catalog.hardware import FOLDER, read_profile
from simulator.errors import InputError
from simulator.perf.kernels import (
    CollectiveKernel,
    ExpertsKernel,
    GemmKernel,
    StreamKernel,
    collective_s,
    gemm_s,
    stream_s,
)
from tests.kernel_tables import PEAKS, PLAIN, TOKENS, attention_tables, expert_table, gemm_table


@pytest.mark.parametrize(
    ("truth", "form"),
    [
        (GemmKernel(4e-6, 0.8, 0.7, 0.6, 200.0, 0.0, 0.0, 0.02, 3.0), PLAIN),
        (GemmKernel(5e-6, 0.75, 0.6, 0.3, 400.0, 0.25, 8.0, 0.0, 2.5), Format(1.0, 1.0, PEAKS)),
    ],
)
def test_a_product_table_gives_its_parameters_back(truth: GemmKernel, form: Format) -> None:
    found, errors = fit_gemm(gemm_table(truth, form), form)
    assert errors.median_abs < 1e-3
    assert (found.bandwidth_share, found.compute_share) == pytest.approx(
        (truth.bandwidth_share, truth.compute_share), rel=0.01
    )
    assert found.launch_s == pytest.approx(truth.launch_s, rel=0.02)
    assert found.quantise_bytes == pytest.approx(truth.quantise_bytes, rel=0.02, abs=1e-6)


def test_scatter_is_reported_and_outliers_do_not_bend_the_fit() -> None:
    truth = GemmKernel(4e-6, 0.8, 0.7, 0.6, 200.0, 0.0, 0.0, 0.0, 3.0)
    table = gemm_table(truth, PLAIN, noise=0.05)
    table.loc[::20, "latency_s"] *= 5
    found, errors = fit_gemm(table, PLAIN)
    assert found.compute_share == pytest.approx(0.7, rel=0.1)
    assert 0.02 < errors.median_abs < 0.08
    assert errors.points == len(table)
    assert errors.ranges["m"] == [1.0, 8192.0]


def test_weights_that_came_from_a_cache_do_not_count() -> None:
    truth = GemmKernel(4e-6, 0.8, 0.7, 0.6, 200.0, 0.0, 0.0, 0.0, 3.0)
    table = gemm_table(truth, PLAIN)
    cached = table[table["m"] == 1].assign(latency_s=1e-6, n=2048)
    found, errors = fit_gemm(pd.concat([table, cached]), PLAIN)
    assert errors.points == len(table)
    assert found.bandwidth_share == pytest.approx(0.8, rel=0.01)


def test_attention_tables_give_their_parameters_back_whatever_windows_they_hold() -> None:
    context, generation = attention_tables()
    windowed = generation.assign(window_size=128, latency_s=1e-6)
    found = fit_attention(context, pd.concat([generation, windowed]), 128, "bfloat16", 2.0, PEAKS)
    assert found is not None
    kernel, errors = found
    expected = (1e-5, 0.6, 0.3, 0.8, 1e-9, 2e-8)
    assert tuple(asdict(kernel).values()) == pytest.approx(expected, rel=0.03)
    assert max(each.median_abs for each in errors.values()) < 1e-3
    assert fit_attention(context, generation, 64, "bfloat16", 2.0, PEAKS) is None


def test_an_expert_table_gives_its_parameters_back() -> None:
    table = expert_table(ExpertsKernel(2e-5, 0.8, 0.5, 20.0, 100.0, 6.0, 2.0))
    found, errors = fit_experts(table, PLAIN)
    assert errors.median_abs < 5e-3
    assert (found.bandwidth_share, found.compute_share) == pytest.approx((0.8, 0.5), rel=0.03)
    assert found.routed_bytes == pytest.approx(6.0, rel=0.1)


def test_collectives_and_element_wise_kernels_give_their_parameters_back() -> None:
    truth = CollectiveKernel(5e-6, 5e10, 3e-5, 2e11)
    size = 2.0 ** np.arange(11, 30)
    found, errors = fit_collective(pd.DataFrame({"message_size": size, "latency_s": collective_s(truth, size)}), 4.5e11)
    assert errors.median_abs < 0.01
    assert found.latency_s == pytest.approx(5e-6, rel=0.05)
    assert found.bulk_bytes_per_s == pytest.approx(2e11, rel=0.05)
    m, k = np.array(list(product(TOKENS, (1024, 8192))), dtype=np.float64).T
    stream = StreamKernel(2e-6, 0.7)
    kernel, _ = fit_stream(pd.DataFrame({"m": m, "k": k, "latency_s": stream_s(stream, PEAKS, 3 * m * k)}), PEAKS)
    assert asdict(kernel) == pytest.approx(asdict(stream), rel=0.01)


def test_messages_are_counted_in_bytes_so_that_no_ring_beats_its_links() -> None:
    table = pd.DataFrame({"num_gpus": [8], "message_size": [2**29], "latency_s": [4e-3], "backend": ["vllm_graph"]})
    assert in_bytes(table)["message_size"].tolist() == [2**30]
    for name in ("a100-80", "h100-sxm", "h200", "b200"):
        links = gpu(name).device.intra_node_bytes_per_s
        for group, record in read_profile(FOLDER / f"{name}.json").kernels["all_reduce"].items():
            moved = 2 * (int(group) - 1) / int(group) * record["bulk_bytes_per_s"]
            assert 0.6 * links < moved < 1.2 * links


def test_a_transferred_gpu_takes_shares_and_links_and_no_format_it_lacks() -> None:
    donor = {name: json.loads((FOLDER / f"{name}.json").read_text()) for name in ("b200", "l40s")}
    entry = {"kernels": "b200", "links": "l40s", "multiprocessors": 7}
    profile = transferred("a100-80", entry, donor)
    assert set(profile["kernels"]["gemm"]) == {"bf16", "fp16", "int8", "int4", "w8a16"}
    assert profile["kernels"]["gemm"]["bf16"] == donor["b200"]["kernels"]["gemm"]["bf16"]
    own, lent = (each["kernels"]["all_reduce"]["2"] for each in (profile, donor["l40s"]))
    assert own["latency_s"] == lent["latency_s"]
    assert own["bytes_per_s"] == pytest.approx(lent["bytes_per_s"] * 3e11 / 3.2e10)


def test_stand_ins_are_written_down() -> None:
    profiles = {name: json.loads((FOLDER / f"{name}.json").read_text()) for name in ("a100-80", "h100-sxm")}
    for profile in profiles.values():
        profile["stand_ins"] = {}
    del profiles["h100-sxm"]["kernels"]["gemm"]["int4"], profiles["h100-sxm"]["kernels"]["gemm"]["int8"]
    profiles["a100-80"]["kernels"]["latent"][0]["kernel"]["launch_s"] = 1e-6
    fill_formats(profiles, {"gemm": "a100-80"})
    share_launches(profiles, "latent")
    gemm = profiles["h100-sxm"]["kernels"]["gemm"]
    assert gemm["int8"] == gemm["fp8"]
    assert gemm["int4"]["bandwidth_share"] <= 1.0
    assert profiles["h100-sxm"]["kernels"]["latent"][0]["kernel"]["launch_s"] == 1e-6
    assert set(profiles["h100-sxm"]["stand_ins"]) >= {"gemm int8", "gemm int4", "latent launch"}
    assert "shortest" in section(profiles)


def test_weight_only_experts_keep_their_kernel_whatever_16_bit_experts_do() -> None:
    profiles = {name: json.loads((FOLDER / f"{name}.json").read_text()) for name in ("a100-80", "l40s")}
    for form in ("int4", "mxfp4", "w8a16"):
        del profiles["a100-80"]["kernels"]["experts"][form]
    del profiles["l40s"]["kernels"]["experts"]["w8a16"]
    fill_formats(profiles, {"experts": "l40s"})
    own, lent = (profiles[name]["kernels"]["experts"] for name in ("a100-80", "l40s"))
    for form in ("int4", "mxfp4"):
        assert own[form] == {**lent[form], "launch_s": own["bf16"]["launch_s"]}
        assert "shares of the published peaks kept" in profiles["a100-80"]["stand_ins"][f"experts {form}"]
    assert own["w8a16"] == own["int4"]


def test_the_price_of_sinks_is_measured_where_tables_have_it_and_lent_elsewhere() -> None:
    shape = {"batch_size": 1, "num_heads": 32, "num_key_value_heads": 8, "head_dim": 192, "window_size": 0}
    length = np.array([64.0, 4096.0, 8192.0, 16384.0])
    own = pd.DataFrame(shape | {"isl": length, "kernel_source": "vllm_flash_attn_fa2", "latency_s": length**2})
    other = own.assign(kernel_source="vllm_triton_attn", latency_s=[1.0, *2.5 * length[1:] ** 2])
    windowed = other.assign(window_size=128, latency_s=1.0)
    assert fallback_factor(pd.concat([own, other, windowed])) == pytest.approx(2.5)
    assert fallback_factor(own) is None
    assert fallback_factor(own.drop(columns="kernel_source")) is None
    profiles: dict[str, dict[str, Any]] = {
        "l40s": {"kernels": {"sink_factor": 2.5}, "stand_ins": {}},
        "a100-80": {"kernels": {}, "stand_ins": {}},
    }
    lend_sinks(profiles, ["a100-80", "l40s"], "l40s")
    assert profiles["a100-80"]["kernels"]["sink_factor"] == 2.5
    assert "Triton attention of l40s" in profiles["a100-80"]["stand_ins"]["attention sinks"]
    assert not profiles["l40s"]["stand_ins"]


def test_the_shipped_profiles_say_where_they_come_from_and_how_far_off_they_are() -> None:
    names = {*systems()["measured"], *systems()["transferred"]}
    assert {file.stem for file in FOLDER.glob("*.json")} == names
    for name in names:
        profile = read_profile(FOLDER / f"{name}.json")
        assert profile.source.version == "0.12.0"
        assert profile.source.tables
        assert profile.source.retrieved
        if profile.transferred_from is None:
            assert all(abs(errors["bias"]) < 0.06 for errors in profile.residuals.values())
            assert profile.residuals["gemm bf16"]["median_abs"] < 0.1
        else:
            assert profile.transferred_from in profile.stand_ins["all"]
    rows = residual_rows({"h100-sxm": json.loads((FOLDER / "h100-sxm.json").read_text())})
    assert {"GPU", "kernel", "points", "median error", "p90", "bias"} == set(rows[0])


def test_a_source_without_tables_or_columns_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"no kernel tables .* in this folder"):
        find_tables(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"servecast\[kernels\]"):
        find_tables(None)
    folder = tmp_path / "h100_sxm" / "gemm" / "vllm" / "0.24.0"
    folder.mkdir(parents=True)
    pd.DataFrame({"m": [1], "latency": [1.0]}).to_parquet(folder / "gemm_perf.parquet")
    tables = find_tables(tmp_path)
    with pytest.raises(InputError, match="lacks the columns n, k"):
        tables.read("h100_sxm", "gemm", "vllm", "0.24.0", "gemm", ("m", "n", "k"))
    with pytest.raises(InputError, match="no table h100_sxm/moe"):
        tables.read("h100_sxm", "moe", "vllm", "0.24.0", "moe", ())
    assert tables.has("h100_sxm", "gemm", "vllm", "0.24.0", "gemm")
    assert not tables.has("h100_sxm", "gemm", "vllm", "0.25.0", "gemm")
    with pytest.raises(InputError, match="did you mean 'h100-sxm'"):
        build_all(Tables(tmp_path), ["h100-smx"], "2026-11-23", print)


def test_a_broken_profile_is_named(tmp_path: Path) -> None:
    file = tmp_path / "h100-sxm.json"
    file.write_text("{}")
    with pytest.raises(InputError, match="not a hardware profile"):
        read_profile(file)
    write_profiles({"h100-sxm": json.loads((FOLDER / "h100-sxm.json").read_text()) | {"format": "other/9"}}, tmp_path)
    with pytest.raises(InputError, match="must be of format servecast-hardware/1"):
        read_profile(file)


def test_a_generated_section_leaves_the_rest_of_a_document_alone(tmp_path: Path) -> None:
    path = tmp_path / "accuracy.md"
    write_section(path, "<!-- a -->", "<!-- /a -->", "one", "# Title\n")
    path.write_text(path.read_text() + "\nby hand\n")
    write_section(path, "<!-- b -->", "<!-- /b -->", "two", "# Title\n")
    write_section(path, "<!-- a -->", "<!-- /a -->", "three", "# Title\n")
    text = path.read_text()
    places = [text.index(words) for words in ("# Title", "three", "by hand", "two")]
    assert places == sorted(places)
    assert "one" not in text


def test_a_gpu_with_twice_the_peaks_is_twice_as_fast_where_the_launch_does_not_count() -> None:
    kernel = GemmKernel(0.0, 0.8, 0.7, 0.5, 100.0, 0.0, 0.0, 0.0, 3.0)
    double = replace(PEAKS, bandwidth_bytes_per_s=4e12, flops_per_s=1e15)
    m, ragged = np.array([1.0, 256.0, 8192.0]), np.zeros(3, dtype=np.bool_)
    slow = gemm_s(kernel, PEAKS, m, 4096, 4096, 2.0, 2.0, ragged)
    assert gemm_s(kernel, double, m, 4096, 4096, 2.0, 2.0, ragged) == pytest.approx(slow / 2)
