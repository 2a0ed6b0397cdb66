"""A config that remembers which keys were read, so that what nobody understood is refused and not guessed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from simulator.catalog.shapes.border import COUNT, RULES, problems
from simulator.errors import InputError, Problem

DECISIVE = (
    "kv_lora_rank",
    "sliding_window",
    "layer_types",
    "attention_chunk_size",
    "linear_attn_config",
    "linear_num_value_heads",
    "full_attention_interval",
    "mamba_num_heads",
    "mamba_n_heads",
    "mamba_d_state",
    "ssm_state_size",
    "num_kv_shared_layers",
    "index_topk",
    "n_routed_experts",
    "num_experts",
    "num_local_experts",
    "moe_num_experts",
    "n_shared_experts",
    "num_shared_experts",
    "shared_expert_intermediate_size",
    "shared_intermediate_size",
    "hybrid_override_pattern",
    "attn_type_list",
    "block_configs",
    "compress_ratios",
    "compress_rates",
    "o_lora_rank",
    "hc_mult",
    "v_head_dim",
    "swa_num_key_value_heads",
    "swa_head_dim",
    "swa_v_head_dim",
    "attention_type",
    "attn_type",
    "attention_types",
    "attn_types",
    "attention_layers",
    "layers_block_type",
    "attn_layer_indices",
    "linear_attention_config",
    "hybrid_attention_config",
    "sparse_attention_config",
    "global_attn_every_n_layers",
    "cross_attention_layers",
    "use_cla",
    "cla_share_factor",
    "moe_latent_size",
    "routed_expert_hidden_size",
    "mla_use_output_gate",
    "attn_layer_period",
    "conv_L_cache",
    "full_attn_idxs",
    "hybrid_layer_pattern",
    "global_head_dim",
    "num_global_key_value_heads",
    "vocab_size_per_layer_input",
    "per_layer_config",
    "attention_other_setting",
    "num_attention_groups",
    "num_sliding_attention_heads",
    "num_attention_heads_per_layer",
    "moe_layers_enum",
    "share_expert_dim",
    "swa_num_attention_heads",
    "use_head_wise_attn_gate",
    "mlp_layer_types",
    "index_topk_freq",
    "mova_num_experts",
)
"""Keys that change what is cached or stored: with a value, they must have been read."""
NOTHING_SAID: tuple[Any, ...] = (
    None,
    0,
    False,
    [],
    {},
    "full",
    "full_attention",
    "attention",
    "self_attention",
    "mha",
    "gqa",
    "mqa",
)
"""Values of such keys that change nothing."""


class Config(Mapping[str, Any]):
    """Keys of a `config.json`, counted as read when they are.

    Parameters
    ----------
    values : the keys
    file : where they stand, for messages
    section : prefix of a nested section, as `text_config.`
    assumed : keys that nobody wrote, which need not be read

    Raises
    ------
    InputError : every key that holds what it cannot (`border.RULES`)
    """

    def __init__(
        self, values: Mapping[str, Any], file: str | None = None, section: str = "", assumed: Iterable[str] = ()
    ) -> None:
        wrong = [Problem(text, file, path=f"{section}{key}", got=got) for key, text, got in problems(values)]
        if wrong:
            raise InputError(*wrong)
        self._values = values
        self._read: set[str] = set(assumed)
        self.file = file
        self.section = section

    def __getitem__(self, key: str) -> Any:
        self._read.add(key)
        if key not in self._values:
            raise self.problem(key, f"config.json of type {self.model_type!r} lacks it")
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: str, default: Any = None) -> Any:
        self._read.add(key)
        value = self._values.get(key, default)
        return default if value is None else value

    def has(self, key: str) -> bool:
        """Whether a key has a value; this does not count as reading it."""
        return self._values.get(key) is not None

    @property
    def model_type(self) -> str:
        return str(self._values.get("model_type", ""))

    def number(self, key: str, default: int | None = None) -> int:
        """A whole number.

        Raises
        ------
        InputError : missing without a default, or a list, text or no whole number of a size that `border.RULES` or
            `border.COUNT` allow
        """
        value = self[key] if default is None else self.get(key, default)
        if not isinstance(value, int | float) or (key not in RULES and COUNT(value) is not None):
            raise self.problem(key, "a whole number is needed here", str(value)[:60])
        return int(value)

    def part(self, key: str) -> Config:
        """A section of this one, whose problems are told by its path.

        Raises
        ------
        InputError : missing, or no object
        """
        found = self[key]
        if not isinstance(found, Mapping):
            raise self.problem(key, "must be an object", str(found)[:60])
        return Config(found, self.file, f"{self.section}{key}.")

    def by_layer(self, key: str) -> list[Any]:
        """A list with an entry for each layer at least.

        Raises
        ------
        InputError : shorter
        """
        found: list[Any] = self[key]
        if len(found) < self.number("num_hidden_layers"):
            raise self.problem(key, f"must name all {self.number('num_hidden_layers')} layers", str(len(found)))
        return found

    def first(self, *keys: str, default: int | None = None) -> int:
        """The first of several keys that has a value."""
        for key in keys:
            if self.get(key) is not None:
                return self.number(key)
        if default is None:
            raise self.problem(keys[0], f"config.json of type {self.model_type!r} lacks it")
        return default

    def problem(self, key: str, message: str, got: str | None = None) -> InputError:
        return InputError(Problem(message, file=self.file, path=f"{self.section}{key}", got=got))

    def refuse_unread(self) -> None:
        """Refuse what changes the shape and was not understood.

        Raises
        ------
        InputError : every such key
        """
        unread = [key for key in DECISIVE if key not in self._read and self._values.get(key) not in NOTHING_SAID]
        if unread:
            raise InputError(
                *(
                    Problem(
                        f"not understood in a model of type {self.model_type!r}: its memory cannot be planned",
                        file=self.file,
                        path=f"{self.section}{key}",
                        got=str(self._values[key])[:60],
                    )
                    for key in unread
                )
            )
