"""What Vidur lacks to run offline: a table of attention kernels for the model that all peers serve."""

from __future__ import annotations

import csv
from pathlib import Path

from simulator.catalog.gpus import gpu

NEEDS = ("numpy", "pandas", "scikit-learn", "wandb", "ddsketch", "plotly_express", "fasteners", "kaleido")
HEADS, KV_HEADS, HEAD_DIM, HIDDEN, BLOCK_TOKENS = 32, 8, 128, 4096, 16
"""Llama 3 8B, as Vidur's own table of its dense layers has it."""
LONGEST_TOKENS, BATCHES, CHUNKS_TOKENS = 2048, (1, 2, 4, 8, 16, 32, 64, 128, 256), (64, 128, 256, 512, 1024, 2048)


def write_attention(path: Path) -> None:
    """Milliseconds of one layer's attention by the roofline of the catalog's A100-80, in the columns that Vidur fits.

    Decoding reads 2 × 2 bytes of `KV_HEADS × HEAD_DIM` for each token held, a chunk of `c` tokens behind `k` computes
    `4 c (k + c / 2)` multiplications and additions for each of `HEADS × HEAD_DIM`.
    """
    device = gpu("a100-80").device
    same = {"n_embd": HIDDEN, "n_q_head": HEADS, "n_kv_head": KV_HEADS, "block_size": BLOCK_TOKENS}
    same |= {"num_tensor_parallel_workers": 1}
    rows = []
    for held in range(0, LONGEST_TOKENS + 1, BLOCK_TOKENS * 8):
        for batch in BATCHES:
            read_bytes = 4 * KV_HEADS * HEAD_DIM * batch * held
            rows.append((batch, held, 0, 0.0, read_bytes / device.bandwidth_bytes_per_s * 1e3))
        for chunk in CHUNKS_TOKENS:
            flops = 4 * HEADS * HEAD_DIM * chunk * (held + chunk / 2)
            rows.append((1, held, chunk, flops / device.peak_flops["bf16"] * 1e3, 0.0))
    names = ("batch_size", "kv_cache_size", "prefill_chunk_size")
    names += ("time_stats.attn_prefill.median", "time_stats.attn_decode.median")
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, [*same, *names])
        table.writeheader()
        table.writerows(same | dict(zip(names, row, strict=True)) for row in rows)
