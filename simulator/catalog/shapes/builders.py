"""Which builder reads the layers of a `model_type`."""

from __future__ import annotations

from simulator.catalog.shapes.compressed import deepseek_v4
from simulator.catalog.shapes.decoder import Family
from simulator.catalog.shapes.families import FAMILIES, PLAIN, Builder, attention_and_mlp, looped
from simulator.catalog.shapes.glm_next import glm5_next
from simulator.catalog.shapes.hybrids import (
    bailing_hybrid,
    falcon_h1,
    granite_hybrid,
    kimi_linear,
    lfm2,
    minimax_m1,
    nemotron_h,
    nemotron_nas,
)
from simulator.catalog.shapes.k2_horizon import k2_horizon
from simulator.catalog.shapes.latents import hy_v4, longcat_flash, minicpm3, step_3
from simulator.catalog.shapes.mamba import bamba, jamba, mamba, mamba2, zamba2
from simulator.catalog.shapes.modal_experts import ernie_vl
from simulator.catalog.shapes.molmo import molmo, more_words
from simulator.catalog.shapes.qwen4_exp import qwen4_exp
from simulator.catalog.shapes.uneven import gemma3n, gemma4, minimax_m3
from simulator.catalog.shapes.whisper import whisper
from simulator.catalog.shapes.windows import laguna, mimo_v2, step_3p5

BUILDERS: dict[str, tuple[Family, Builder]] = {
    **{name: (family, attention_and_mlp) for name, family in FAMILIES.items()},
    "nemotron-nas": (PLAIN, nemotron_nas),
    "deci": (PLAIN, nemotron_nas),
    "nemotron_h": (Family(gated_mlp=False, norms=1), nemotron_h),
    "granitemoehybrid": (PLAIN, granite_hybrid),
    "falcon_h1": (PLAIN, falcon_h1),
    "lfm2": (Family(tied=True), lfm2),
    "lfm2_moe": (Family(tied=True), lfm2),
    "minimax_m1": (PLAIN, minimax_m1),
    "minimax": (PLAIN, minimax_m1),
    "minimax_text_01": (PLAIN, minimax_m1),
    "bailing_hybrid": (PLAIN, bailing_hybrid),
    "k2_horizon": (PLAIN, k2_horizon),
    "kimi_linear": (PLAIN, kimi_linear),
    "glm5_next_text": (Family(rotated=False), glm5_next),
    **dict.fromkeys(("qwen4_exp_text", "qwen4_exp"), (Family(queries_normed=True, gated_attention=True), qwen4_exp)),
    "deepseek_v4": (PLAIN, deepseek_v4),
    "gemma3n_text": (Family(tied=True), gemma3n),
    **dict.fromkeys(("gemma4_text", "gemma4_unified_text"), (Family(tied=True), gemma4)),
    "laguna": (Family(queries_normed=True), laguna),
    "longcat_flash": (PLAIN, longcat_flash),
    "ernie4_5_moe_vl": (PLAIN, ernie_vl),
    "hy_v4": (Family(sinks=True), hy_v4),
    "minicpm3": (Family(tied=True), minicpm3),
    **dict.fromkeys(("mamba", "falcon_mamba"), (Family(tied=True, norms=1), mamba)),
    "mamba2": (Family(norms=1), mamba2),
    "jamba": (Family(rotated=False), jamba),
    "bamba": (PLAIN, bamba),
    "zamba2": (Family(tied=True), zamba2),
    "iquestloopcoder": (PLAIN, looped),
    "molmo": (PLAIN, molmo),
    **dict.fromkeys(("molmo2", "molmo2_text"), (PLAIN, more_words)),
    **dict.fromkeys(("mimo_v2_flash", "mimo_v2"), (Family(sinks=True), mimo_v2)),
    "step3_text": (PLAIN, step_3),
    "step3p5": (Family(queries_normed=True), step_3p5),
    "whisper": (Family(gated_mlp=False, tied=True, norms=3, learned_positions=0, rotated=False), whisper),
    "minimax_m3": (PLAIN, minimax_m3),
    "minimax_m3_text": (PLAIN, minimax_m3),
    "minimax_m3_vl_text": (PLAIN, minimax_m3),
}
