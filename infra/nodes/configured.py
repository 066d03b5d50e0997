"""The nodes that the settings name; else that of the data directory: the reference node or a model."""

from __future__ import annotations

import logging
from pathlib import Path

from infra.errors import ExitCode, Failure
from infra.nodes.client import HttpNode
from infra.running import NODE, address_of
from schemas.settings import NodeSettings, Settings
from streams.core.routing import Terms
from streams.ports import Clock

_log = logging.getLogger(__name__)


def nodes_of(settings: Settings, clock: Clock) -> list[HttpNode]:
    """A client for each; a `Failure` where there is nobody to ask."""
    for node in settings.nodes:
        if node.gains_by_packs and not node.takes_packs:
            way = "decisions" if node.format == "general" else f"the format {node.format}"
            _log.warning("node %s gets its posts one by one: %s knows no packs", node.known_as, way)
    return [HttpNode(node, clock) for node in settings.nodes or (_reference_node(settings),)]


def terms_of(settings: Settings, name: str) -> Terms:
    """What the settings say of a node beyond how to reach it; of the reference node they say nothing."""
    for node in settings.nodes:
        if node.known_as == name:
            return Terms(
                weight=node.weight_ratio,
                is_backup=node.backup,
                goal_ms=node.goal_ms,
                requests_per_minute_max=node.requests_per_minute_max,
                tokens_per_minute_max=node.tokens_per_minute_max,
                takes_packs=node.takes_packs,
                is_priced_per_request=node.priced_per_request,
            )
    return Terms()


def _reference_node(settings: Settings) -> NodeSettings:
    address = address_of(Path(settings.data_dir), NODE)
    if address is None:
        raise Failure(
            "No inference node is set, and no reference node runs for the data directory "
            f"{settings.data_dir}: set `nodes`, or start one with `penstock node`.",
            exit_code=ExitCode.NODE_UNREACHABLE,
        )
    reference = settings.reference_node
    return NodeSettings(
        url=address.url,
        name="reference" if address.kind == "penstock" else address.kind,
        kind=address.kind,
        slots=reference.slots,
        token=reference.token,
        # It signs for itself, so its certificate is also the authority to trust.
        ssl_ca_file=reference.ssl_cert_file,
    )
