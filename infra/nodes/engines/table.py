"""What each engine needs to be asked: one frozen record per kind of node, in one literal table.

Data only. To teach Penstock an engine, add a row here and its name to `NodeKind`; the contract suite then
asks it in its own way. CONTRIBUTING shows it step by step, docs/nodes.md says where each figure was read.
"""

from __future__ import annotations

from infra.nodes.engines.engine import MODELS_PATH, Engine, Gauges
from schemas.settings import NodeKind
from streams.core.requests import Dialect

# Models that think before they answer would spend the output limit on it; a template without such a switch
# ignores the field.
_NO_THINKING = {"chat_template_kwargs": {"enable_thinking": False}}

_MOST = 20
"""Alternatives to a token: the most that OpenAI's interface allows; a policy has ten labels or so."""

ENGINES: dict[NodeKind, Engine] = {
    # Nothing but the list of models is common to all who speak OpenAI's interface.
    "openai": Engine(dialect=Dialect(top_logprobs=_MOST), health_path=MODELS_PATH),
    "vllm": Engine(
        dialect=Dialect(extras=_NO_THINKING, top_logprobs=_MOST),
        gauges=Gauges(
            ("vllm:num_requests_running",),
            ("vllm:num_requests_waiting",),
            # The second is the name of earlier releases.
            ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
            ("vllm:num_preemptions_total",),
        ),
        urgent_first="lowest",
        decisions="vllm",
        fills_templates=True,
    ),
    # Its /health generates a token and takes a second at least; /ready only looks.
    "sglang": Engine(
        dialect=Dialect(extras=_NO_THINKING, top_logprobs=_MOST),
        health_path="/ready",
        gauges=Gauges(("sglang:num_running_reqs",), ("sglang:num_queue_reqs",), ("sglang:token_usage",)),
        urgent_first="highest",
        decisions="sglang",
        fills_templates=True,
    ),
    # Its documentation has the schema stand flat beside the type. The server reads OpenAI's nesting, and
    # takes the flat one for a wish for any JSON at all. It notices that a client has gone only while it
    # streams; and once it has streamed, it closes the connection without a word, so each is for one
    # request. All three are shown by tests/contract/test_llamacpp_live.py.
    "llamacpp": Engine(
        dialect=Dialect(extras=_NO_THINKING, is_streamed=True, top_logprobs=_MOST),
        gauges=Gauges(("llamacpp:requests_processing",), ("llamacpp:requests_deferred",)),
        slots_path="/props",
        keep_alive_s=0.0,
        fills_templates=True,
    ),
    # Its own interface, because only there can it be told not to cut what is too long. It has no health page;
    # the list of models is cheap and says whether ours is there.
    "ollama": Engine(
        dialect=Dialect(extras={"think": False}, wire="ollama", top_logprobs=_MOST),
        chat_path="/api/chat",
        health_path=MODELS_PATH,
        is_sequential=True,
    ),
    "ollama-v1": Engine(
        dialect=Dialect(extras={"reasoning_effort": "none"}, top_logprobs=_MOST),
        health_path=MODELS_PATH,
        cuts_unsaid=True,
        is_sequential=True,
    ),
    # It tells five alternatives at most.
    "tgi": Engine(
        dialect=Dialect(response_format="value", top_logprobs=5),
        gauges=Gauges(("tgi_batch_current_size",), ("tgi_queue_size",)),
    ),
    # Its percentages are the scorer's own figures; the probabilities of what it writes are made of them.
    "penstock": Engine(
        gauges=Gauges(("penstock_node_requests_running",), ("penstock_node_requests_waiting",)),
    ),
}
