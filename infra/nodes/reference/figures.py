"""What the reference node counts, for its /metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from infra.nodes.reference.chat import Completion
from infra.nodes.reference.slots import Slots


class Figures:
    """The figures of one node, in a registry of its own: two nodes in one process do not mix."""

    def __init__(self, slots: Slots) -> None:
        self._registry = CollectorRegistry()
        running = Gauge("penstock_node_requests_running", "Requests in a slot.", registry=self._registry)
        running.set_function(lambda: slots.busy)
        waiting = Gauge("penstock_node_requests_waiting", "Requests in the line.", registry=self._registry)
        waiting.set_function(lambda: slots.waiting)
        self._requests = self._counter("penstock_node_requests", "Requests answered.", "code")
        self._completions = self._counter("penstock_node_completions", "Completions that were made.")
        self._prompt = self._counter("penstock_node_prompt_tokens", "Prompt tokens.")
        self._cached = self._counter("penstock_node_cached_tokens", "Prompt tokens that were cached.")
        self._output = self._counter("penstock_node_output_tokens", "Output tokens.")

    def count_answer(self, code: int) -> None:
        """One more request was answered so; 499 is for a client that went away."""
        self._requests.labels(str(code)).inc()

    def count_completion(self, completion: Completion) -> None:
        """One more inference, whether or not its client is still there to hear of it."""
        self._completions.inc()
        self._prompt.inc(completion.prompt_tokens)
        self._cached.inc(completion.cached_tokens)
        self._output.inc(len(completion.pieces))

    def exposition(self) -> bytes:
        """The figures in Prometheus's text format."""
        return generate_latest(self._registry)

    def _counter(self, name: str, description: str, *labels: str) -> Counter:
        return Counter(name, description, labels, registry=self._registry)
