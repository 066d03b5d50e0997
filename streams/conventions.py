"""The names of spans and of their attributes, all of them: nobody else spells one.

Messaging and GenAI names are OpenTelemetry's, whose conventions for both are still in development
(messaging as of v1.44.0, GenAI as of its own repository): when they move, this file does. `penstock.*` is
ours. There is no name here for content, for an author or for an event's id, and there will be none: those
never enter a trace.
"""

from __future__ import annotations

from typing import Final

SCOPE: Final = "penstock"

# Spans.

SPAN_SEND: Final = "send"
"""A producer writes an event. The root of what follows."""
SPAN_TRIAGE: Final = "triage"
"""One event on the fast path: from the fetch to its verdict or its pending record."""
SPAN_DISPATCH_WAIT: Final = "dispatch wait"
"""One event waits in a lane for a slot of a node."""
SPAN_SEND_VERDICTS: Final = "send verdicts"
"""The verdict is written, until Kafka has confirmed it."""


def span_chat(model: str) -> str:
    """One request to a model. The model's name comes from settings and nodes, never from an event."""
    return f"chat {model}" if model else "chat"


# Messaging.

MESSAGING_SYSTEM: Final = "messaging.system"
MESSAGING_SYSTEM_KAFKA: Final = "kafka"
MESSAGING_OPERATION_NAME: Final = "messaging.operation.name"
MESSAGING_OPERATION_TYPE: Final = "messaging.operation.type"
MESSAGING_DESTINATION_NAME: Final = "messaging.destination.name"
MESSAGING_DESTINATION_PARTITION_ID: Final = "messaging.destination.partition.id"
MESSAGING_KAFKA_OFFSET: Final = "messaging.kafka.offset"

# GenAI.

GEN_AI_OPERATION_NAME: Final = "gen_ai.operation.name"
GEN_AI_OPERATION_CHAT: Final = "chat"
GEN_AI_REQUEST_MODEL: Final = "gen_ai.request.model"

# General.

ERROR_TYPE: Final = "error.type"
SERVICE_NAME: Final = "service.name"
SERVICE_VERSION: Final = "service.version"
SERVICE_INSTANCE_ID: Final = "service.instance.id"

# Ours.

STAGE: Final = "penstock.stage"
PRIORITY: Final = "penstock.priority"
KIND: Final = "penstock.kind"
POLICY_ID: Final = "penstock.policy.id"
POLICY_VERSION: Final = "penstock.policy.version"
ACTION: Final = "penstock.action"
DECIDED_BY: Final = "penstock.decided_by"
NODE: Final = "penstock.node"
