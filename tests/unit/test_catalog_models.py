"""Model sizes against what the publishers say, and the Hugging Face loader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from config_cases import LLAMA, write_config

from simulator.catalog.models import model, models
from simulator.catalog.shapes.config import shape_from_config
from simulator.errors import InputError
from simulator.perf.architecture import Architecture, active_parameters, parameters
from simulator.resolve.checkpoint import architecture


def loaded_from(path: Path) -> Architecture:
    return architecture(str(path), Path())[0]


@pytest.mark.parametrize("name", sorted(models()))
def test_sizes_match_the_published_ones(name: str) -> None:
    entry = model(name)
    total = entry.total_parameters.value
    shape = shape_from_config(name, entry.config)
    towers = sum(each.parameters for each in shape.matrices if each.name.startswith("vision_tower"))
    beside = "without the image encoder" in entry.total_parameters.note
    counted = shape.parameters - (towers if beside else 0)
    assert counted == pytest.approx(total, rel=0.01)
    if shape.unmodelled:
        return
    rounded = total % 1e8 == 0
    assert parameters(entry.architecture) + (0 if beside else towers) == pytest.approx(
        total, rel=0.01 if rounded else 1e-3
    )
    if entry.active_parameters is None and entry.architecture.experts:
        return
    published = entry.active_parameters or entry.total_parameters
    counts_lookup = "without the input embedding" not in published.note
    active = active_parameters(entry.architecture, counts_lookup)
    if entry.active_parameters is None and not beside:
        active += towers
    if "without input and output embeddings" in published.note:
        active -= 2 * entry.architecture.vocab_size * entry.architecture.hidden_size
    assert active == pytest.approx(published.value, rel=0.02)


@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        *((name, 0.57e9) for name in ("gemma-4-31b", "gemma-4-26b-a4b")),
        *((name, 0.42e9) for name in ("ministral-3-3b", "ministral-3-8b", "ministral-3-14b", "kimi-k2.5")),
        ("mistral-large-3", 2.5e9),
        *((name, 0.67e9) for name in ("qwen2.5-vl-7b", "qwen2-vl-7b")),
        ("qwen3-vl-8b", 0.57e9),
        ("mistral-small-3.1-24b", 0.44e9),
        ("minimax-m3", 0.66e9),
    ],
)
def test_a_model_that_sees_has_the_encoder_that_its_publisher_tells(name: str, encoder: float) -> None:
    """vLLM loads it with the model: 1.07 GiB of Gemma 4, a tenth of Ministral 3 3B."""
    shape = shape_from_config(name, model(name).config)
    tower = sum(each.parameters for each in shape.matrices if each.name.startswith("vision_tower"))
    assert tower == pytest.approx(encoder, rel=0.05)
    assert len(shape.towers) == 1


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("llama-3.1-8b-instruct", "llama-3.1-8b"),
        ("Llama-3.3-70B-Instruct", "llama-3.1-70b"),
        ("Qwen/Qwen3-30B-A3B", "qwen3-30b-a3b"),
        ("deepseek-r1", "deepseek-v3"),
        ("Qwen/Qwen3-30B-A3B-Instruct-2507", "qwen3-30b-a3b-2507"),
        ("qwen3.5-27b", "qwen3.6-27b"),
        ("Qwen/Qwen3.8-27B", "qwen3.6-27b"),
        ("mistralai/Mistral-Small-3.2-24B-Instruct-2506", "mistral-small-3.1-24b"),
        ("mistralai/Mistral-Small-24B-Instruct-2501", "mistral-small-24b"),
        ("mistralai/Devstral-Small-2507", "devstral-small-24b"),
    ],
)
def test_a_model_has_several_names(alias: str, name: str) -> None:
    assert model(alias).name == name


def test_an_unknown_model_is_met_with_the_closest() -> None:
    with pytest.raises(InputError, match=r"did you mean 'llama-3\.1-8b"):
        model("llama-3.1-8bb")
    with pytest.raises(InputError, match=r"did you mean 'qwen2\.5-72b-instruct'\?$"):
        model("qwen2.5-72b-instruct-")


def test_a_dense_mlp_beside_experts_is_counted() -> None:
    entry = model("gemma-4-26b-a4b")
    assert parameters(entry.architecture) == pytest.approx(entry.total_parameters.value, rel=0.003)


def test_the_families_differ_where_they_should() -> None:
    assert model("deepseek-v3").architecture.is_mla
    assert model("deepseek-v3").architecture.dense_layers == 3
    assert model("gpt-oss-120b").architecture.sliding_layers == 18
    assert model("qwen2.5-7b").architecture.sliding_layers == 0
    assert model("qwen3-8b").architecture.moe_layers == 0


def test_a_folder_and_its_file_load_alike(tmp_path: Path) -> None:
    folder = write_config(tmp_path / "Small-Llama", LLAMA)
    loaded = loaded_from(folder)
    assert loaded == loaded_from(folder / "config.json")
    assert (loaded.name, loaded.head_dim, loaded.kv_heads, loaded.dense_layers) == ("small-llama", 64, 2, 8)


def test_missing_keys_are_all_named(tmp_path: Path) -> None:
    folder = write_config(tmp_path / "odd", {"model_type": "deepseek_v3", "hidden_size": 512, "kv_lora_rank": 64})
    with pytest.raises(InputError) as caught:
        loaded_from(folder)
    message = str(caught.value)
    assert "deepseek_v3" in message
    for key in ("num_hidden_layers", "vocab_size", "intermediate_size", "v_head_dim"):
        assert key in message


def test_experts_without_a_count_per_token_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="num_experts_per_tok"):
        loaded_from(write_config(tmp_path / "moe", LLAMA | {"num_experts": 8}))


@pytest.mark.parametrize(("content", "message"), [("{", "not JSON"), ("[]", "must hold an object")])
def test_a_broken_file_is_named(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        loaded_from(file)
    assert caught.value.problems[0].file == str(file)


def test_the_section_for_text_is_read_wherever_it_stands(tmp_path: Path) -> None:
    plain = loaded_from(write_config(tmp_path / "plain", LLAMA | {"_name_or_path": "one"}))
    nested = {"thinker_config": {"text_config": LLAMA}, "_name_or_path": "one"}
    assert loaded_from(write_config(tmp_path / "nested", nested)) == plain


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        loaded_from(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("extra", "sliding"),
    [
        ({"sliding_window": 128, "layer_types": ["sliding_attention"] * 3 + ["full_attention"] * 5}, 3),
        ({"sliding_window": 128}, 8),
        ({"sliding_window": 128, "use_sliding_window": False}, 0),
        ({"sliding_window": None}, 0),
    ],
)
def test_windowed_layers_are_counted(tmp_path: Path, extra: dict[str, Any], sliding: int) -> None:
    assert loaded_from(write_config(tmp_path / "m", LLAMA | extra)).sliding_layers == sliding


def test_sparse_steps_and_listed_layers_are_dense(tmp_path: Path) -> None:
    moe = LLAMA | {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 256}
    every_second = loaded_from(write_config(tmp_path / "a", moe | {"decoder_sparse_step": 2}))
    listed = loaded_from(write_config(tmp_path / "b", moe | {"mlp_only_layers": [0, 7]}))
    assert (every_second.dense_layers, listed.dense_layers) == (4, 2)


def test_another_owners_copy_is_the_same_model() -> None:
    assert model("unsloth/Llama-3.2-3B-Instruct").name == "llama-3.2-3b"
    with pytest.raises(InputError, match=r"unknown model 'someone/Llama-3\.2-3B-Tuned'"):
        model("someone/Llama-3.2-3B-Tuned")
