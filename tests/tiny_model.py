"""A GGUF file of half a megabyte: llama's architecture, two layers, a vocabulary of bytes, weights by chance.

It writes nonsense in whatever shape a grammar leaves it, and that is what it is for: a real llama.cpp server
with a real model behind it, on any machine, in a second.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGUFWriter, TokenType

WIDTH = 64
HEADS = 4
LAYERS = 2
FEED_FORWARD = 128
CONTEXT_TOKENS = 8_192
SPECIAL = (
    (b"<unk>", TokenType.UNKNOWN),
    (b"<s>", TokenType.CONTROL),
    (b"</s>", TokenType.CONTROL),
)
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant: "


def write_tiny_model(path: Path) -> Path:
    """Write the model to a file; the same bytes each time."""
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(CONTEXT_TOKENS)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    _add_vocabulary(writer)
    _add_weights(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_vocabulary(writer: GGUFWriter) -> None:
    texts = [text for text, _ in SPECIAL] + [b"<0x%02X>" % byte for byte in range(256)]
    types = [kind for _, kind in SPECIAL] + [TokenType.BYTE] * 256
    writer.add_vocab_size(len(texts))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(texts)
    writer.add_token_scores([0.0] * len(texts))
    writer.add_token_types(types)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(TEMPLATE)


def _add_weights(writer: GGUFWriter) -> None:
    chance = np.random.default_rng(7)

    def add(name: str, *shape: int) -> None:
        writer.add_tensor(f"{name}.weight", (chance.standard_normal(shape) * 0.4).astype(np.float32))

    def add_ones(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, dtype=np.float32))

    tokens = len(SPECIAL) + 256
    add("token_embd", tokens, WIDTH)
    add("output", tokens, WIDTH)
    add_ones("output_norm")
    for layer in range(LAYERS):
        add_ones(f"blk.{layer}.attn_norm")
        add_ones(f"blk.{layer}.ffn_norm")
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add(f"blk.{layer}.{part}", WIDTH, WIDTH)
        add(f"blk.{layer}.ffn_gate", FEED_FORWARD, WIDTH)
        add(f"blk.{layer}.ffn_up", FEED_FORWARD, WIDTH)
        add(f"blk.{layer}.ffn_down", WIDTH, FEED_FORWARD)
