"""What each engine really answers, as its own source, its documentation or the engine itself says it does.

vLLM 0.33.0 and SGLang 0.5.23: the response classes of their HTTP servers, as released. llama.cpp: recorded
from the server that tests/contract/test_llamacpp_live.py starts. Ollama: `api/types.go`, `openai/openai.go` and
`server/routes.go` of August 2026. TGI: `router/src/lib.rs`, `infer/mod.rs` and `server.rs` of January 2026.
"""

# ruff: noqa: E501  What was answered stands on one line, with what it means.

from __future__ import annotations

import math
from typing import Any

import msgspec

SPAM = '{"labels":["spam"]}'


def _token(text: str, likely: float, others: dict[str, float], *, with_bytes: bool) -> dict[str, Any]:
    def told(word: str, probability: float) -> dict[str, Any]:
        entry = {"token": word, "logprob": math.log(probability)}
        return {**entry, "bytes": list(word.encode())} if with_bytes else entry

    top = [told(word, probability) for word, probability in {text: likely, **others}.items()]
    return {**told(text, likely), "top_logprobs": top}


def spam_tokens(*, with_bytes: bool = True) -> list[dict[str, Any]]:
    """`spam` at 0.9, `none` at 0.08, something else at 0.02."""
    parts = (('{"', 1.0, {}), ("labels", 1.0, {}), ('":["', 1.0, {}))
    name = ("spam", 0.9, {"none": 0.08, "Sure": 0.02})
    return [_token(*part, with_bytes=with_bytes) for part in (*parts, name, ('"]}', 1.0, {}))]


def _openai(tokens: list[dict[str, Any]] | None, usage: dict[str, Any], **others: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": SPAM, **others}
    logprobs = None if tokens is None else {"content": tokens}
    choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": "stop"}
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        "usage": usage,
    }


_COUNTED = {"prompt_tokens": 700, "completion_tokens": 5, "total_tokens": 705}
_CACHED = {**_COUNTED, "prompt_tokens_details": {"cached_tokens": 640}}

OPENAI = msgspec.json.encode(_openai(spam_tokens(), _CACHED, refusal=None))
VLLM = msgspec.json.encode(_openai(spam_tokens(), _CACHED, reasoning=None, tool_calls=[]))
SGLANG = msgspec.json.encode(
    _openai(spam_tokens(), {**_COUNTED, "reasoning_tokens": 0}, reasoning_content=None)
)
OLLAMA_V1 = msgspec.json.encode({**_openai(spam_tokens(), _COUNTED), "system_fingerprint": "fp_ollama"})
TGI = msgspec.json.encode({**_openai(spam_tokens(with_bytes=False), _COUNTED), "object": "text_completion"})
PENSTOCK = msgspec.json.encode(
    _openai(None, _CACHED)
    | {
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": '{"labels":[{"name":"spam","percent":90}]}'},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ]
    }
)
OLLAMA = msgspec.json.encode(
    {
        "model": "m",
        "created_at": "2026-08-21T18:48:22.000000Z",
        "message": {"role": "assistant", "content": SPAM},
        "done": True,
        "done_reason": "stop",
        "logprobs": spam_tokens(),
        "total_duration": 2_254_970_291,
        "load_duration": 574_751_416,
        "prompt_eval_count": 700,
        "prompt_eval_duration": 1_502_000_000,
        "eval_count": 5,
        "eval_duration": 175_000_000,
    }
)


def _llamacpp() -> bytes:
    """A stream of server-sent events: the role, a piece a token, the end, the counts."""

    def chunk(delta: dict[str, Any], finish_reason: str | None = None, **others: Any) -> dict[str, Any]:
        return {
            "choices": [{"finish_reason": finish_reason, "index": 0, "delta": delta, **others}],
            "created": 1_795_278_160,
            "id": "chatcmpl-piA4gka8oScOEAhdCV6Uoze8pxPvK6dw",
            "model": "tiny",
            "system_fingerprint": "b0-unknown",
            "object": "chat.completion.chunk",
        }

    pieces = [
        chunk({"content": token["token"]}, logprobs={"content": [{"id": 7, **token}]})
        for token in spam_tokens()
    ]
    end = {**chunk({}), "choices": [], "usage": _CACHED, "timings": {"cache_n": 640, "prompt_n": 60}}
    events = [chunk({"role": "assistant", "content": None}), *pieces, chunk({}, "stop"), end]
    told = [b"data: %b\n\n" % msgspec.json.encode(event) for event in events]
    return b"".join((*told, b"data: [DONE]\n\n"))


LLAMACPP = _llamacpp()

REPLIES = {
    "openai": OPENAI,
    "vllm": VLLM,
    "sglang": SGLANG,
    "llamacpp": LLAMACPP,
    "ollama": OLLAMA,
    "ollama-v1": OLLAMA_V1,
    "tgi": TGI,
    "penstock": PENSTOCK,
}

VLLM_DECISIONS = b"""{"model":"m","answers":[
    {"type":"predicate","name":"spam","probability":0.91},
    {"type":"predicate","name":"violence","probability":0.01},
    {"type":"predicate","name":"harassment","probability":0.3}],
    "usage":{"input_tokens":900,"input_tokens_details":{"cached_tokens":800,"cache_write_tokens":0},
             "output_tokens":0,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":900}}"""
SGLANG_DECISIONS = b"""{"object":"decisions","model":"m","prompt_format_version":1,"answers":{
    "spam":{"type":"yes_no","probabilities":{"yes":0.91,"no":0.09},"label_mass":0.99,"choice":"yes"},
    "violence":{"type":"yes_no","probabilities":{"yes":0.01,"no":0.99},"label_mass":0.98,"choice":"no"},
    "harassment":{"type":"yes_no","probabilities":{"yes":0.3,"no":0.7},"label_mass":0.7,"choice":"no"}},
    "usage":{"prompt_tokens":900,"total_tokens":900,"completion_tokens":0}}"""

# (kind, status, body, the fault of the port, the word that is told of it)
ERRORS = [
    ("openai", 400, b'{"error":{"message":"too long","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}', "Refused", "context_length_exceeded"),
    ("openai", 401, b'{"error":{"message":"no key","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}', "Misconfigured", "invalid_api_key"),
    ("openai", 429, b'{"error":{"message":"slow down","type":"requests","param":null,"code":"rate_limit_exceeded"}}', "Overloaded", "rate_limit_exceeded"),
    ("vllm", 400, b'{"error":{"message":"This model\'s maximum context length is 4096 tokens.","type":"BadRequestError","param":"input_tokens","code":400}}', "Refused", "HTTP 400"),
    ("vllm", 404, b'{"error":{"message":"The model `x` does not exist.","type":"NotFoundError","param":"model","code":404}}', "Misconfigured", "HTTP 404"),
    ("vllm", 503, b'{"error":{"message":"The engine is currently busy.","type":"ServiceUnavailableError","param":null,"code":503}}', "Overloaded", "HTTP 503"),
    ("vllm", 500, b'{"error":{"message":"EngineCore died","type":"InternalServerError","param":null,"code":500}}', "Unreachable", "HTTP 500"),
    ("sglang", 400, b'{"object":"error","message":"The input is longer than the context","type":"BadRequestError","param":null,"code":400}', "Refused", "HTTP 400"),
    ("sglang", 503, b'{"object":"error","message":"The request queue is full.","type":"abort","param":null,"code":503}', "Overloaded", "abort"),
    ("llamacpp", 400, b'{"error":{"code":400,"message":"request (45026 tokens) exceeds the available context size (8192 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":45026,"n_ctx":8192}}', "Refused", "exceed_context_size_error"),
    ("llamacpp", 401, b'{"error":{"message":"Invalid API Key","type":"authentication_error","code":401}}', "Misconfigured", "authentication_error"),
    ("llamacpp", 404, b'{"error":{"message":"File Not Found","type":"not_found_error","code":404}}', "Misconfigured", "not_found_error"),
    ("llamacpp", 503, b'{"error":{"message":"Loading model","type":"unavailable_error","code":503}}', "Overloaded", "unavailable_error"),
    ("ollama", 400, b'{"error":"the input length exceeds the context length"}', "Refused", "HTTP 400"),
    ("ollama", 404, b'{"error":"model \\"x\\" not found, try pulling it first"}', "Misconfigured", "HTTP 404"),
    ("ollama", 503, b'{"error":"server busy, please try again.  maximum pending requests exceeded"}', "Overloaded", "HTTP 503"),
    ("ollama-v1", 404, b'{"error":{"message":"model not found","type":"not_found_error","param":null,"code":null}}', "Misconfigured", "not_found_error"),
    ("tgi", 422, b'{"error":"Input validation error: `inputs` tokens must be <= 4096","error_type":"validation"}', "Refused", "validation"),
    ("tgi", 424, b'{"error":"Request failed during generation","error_type":"generation"}', "Unreachable", "generation"),
    ("tgi", 429, b'{"error":"Model is overloaded","error_type":"overloaded"}', "Overloaded", "overloaded"),
    ("tgi", 500, b'{"error":"Incomplete generation","error_type":"incomplete_generation"}', "Unreachable", "incomplete_generation"),
]  # fmt: skip

METRICS = {
    "vllm": b"""# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 7.0
vllm:num_requests_running{engine="1",model_name="m"} 5.0
vllm:num_requests_waiting{engine="0",model_name="m {}"} 2.0
vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 2.0
vllm:kv_cache_usage_perc{engine="0"} 0.25
vllm:num_preemptions_total{engine="0",model_name="m"} 3.0
vllm:kv_cache_usage_perc{engine="1"} 0.125
vllm:e2e_request_latency_seconds_bucket{le="+Inf"} 3.0
vllm:broken{le="x"} NaN
""",
    "sglang": b"""sglang:num_running_reqs{model_name="m"} 12.0
sglang:num_queue_reqs{model_name="m"} 2.0
sglang:token_usage{model_name="m"} 0.25
""",
    "tgi": b"tgi_batch_current_size 12\ntgi_queue_size 2\n",
    "llamacpp": b"llamacpp:requests_processing 12\nllamacpp:requests_deferred 2\n",
    "penstock": b"penstock_node_requests_running 12.0\npenstock_node_requests_waiting 2.0\n",
}
