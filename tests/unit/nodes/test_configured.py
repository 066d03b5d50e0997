"""Without nodes in the settings the one of the data directory is asked, as what it is."""

from __future__ import annotations

import pytest

from infra.errors import ExitCode, Failure
from infra.nodes.configured import nodes_of, terms_of
from infra.picture import Picture, told
from infra.running import address_of, tell
from schemas.settings import NodeSettings, Settings
from streams.clock import SystemClock
from streams.ports import TakesPacks


@pytest.mark.parametrize(
    ("kind", "name", "called"),
    [("penstock", "reference", "the reference node"), ("llamacpp", "llamacpp", "a model, by llamacpp")],
)
async def test_the_node_of_the_data_directory_is_asked_and_called_as_what_it_is(tmp_path, kind, name, called):
    tell(tmp_path / "run" / "node.json", "http://127.0.0.1:1", kind)
    (node,) = nodes_of(Settings(data_dir=str(tmp_path)), SystemClock())
    assert repr(node).startswith(f"<HttpNode {name} {kind} general by")
    await node.close()
    address = address_of(tmp_path, "node")
    lines = list(told(Picture(data_dir="d", node=address.url, node_is=address.node)))
    assert f"node      http://127.0.0.1:1 ({called})" in lines


def test_without_any_node_a_worker_says_what_to_do(tmp_path):
    with pytest.raises(Failure, match="set `nodes`, or start one with `penstock node`") as refused:
        nodes_of(Settings(data_dir=str(tmp_path)), SystemClock())
    assert refused.value.exit_code == ExitCode.NODE_UNREACHABLE


@pytest.mark.parametrize(
    ("declared", "takes_packs", "said"),
    [
        ({"sequential": True}, True, ""),
        ({"priced_per_request": True, "confidence": "words"}, True, ""),
        ({}, False, ""),
        ({"sequential": True, "format": "llama_guard"}, False, "the format llama_guard knows no packs"),
        ({"sequential": True, "kind": "vllm", "confidence": "decisions"}, False, "decisions knows no packs"),
    ],
)
async def test_a_node_that_gains_by_packs_gets_them_if_its_format_has_a_form_for_them(
    declared, takes_packs, said, caplog
):
    node = NodeSettings(**{"url": "http://127.0.0.1:1", "name": "n", "kind": "ollama", **declared})
    settings = Settings(nodes=(node,))
    (client,) = nodes_of(settings, SystemClock())
    await client.close()
    assert isinstance(client, TakesPacks)
    assert terms_of(settings, "n").takes_packs is takes_packs
    assert [record.getMessage() for record in caplog.records] == (
        [f"node n gets its posts one by one: {said}"] if said else []
    )
