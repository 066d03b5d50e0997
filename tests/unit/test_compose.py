"""docker-compose.yml without Docker: held to its specification, our settings and our commands."""

from __future__ import annotations

import argparse
import importlib
import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from infra.cli import COMMANDS
from infra.settings import Sources, read

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "tests/data/compose-spec.json").read_text())
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict] = COMPOSE["services"]
OURS = sorted(name for name, service in SERVICES.items() if service["image"] == "penstock:local")
RUN_ONCE = {"topics", "policy", "ollama-model"}
WITHOUT_HEALTH_CHECK = RUN_ONCE | {"collector"}
"""The collector's image holds nothing that could run a check."""


def environment(name: str) -> dict[str, str]:
    """A service's variables as its process sees them where the shell defines none."""
    variables = SERVICES[name].get("environment", {})
    return {key: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value) for key, value in variables.items()}


def settings(name: str):
    return read(Sources(environ=environment(name), directory=Path("/nowhere"))).settings


def test_the_file_is_what_the_compose_specification_allows():
    jsonschema.Draft202012Validator(SCHEMA).validate(COMPOSE)


def test_the_specification_would_find_a_mistake():
    wrong = {**COMPOSE, "services": {**SERVICES, "worker": {**SERVICES["worker"], "helthcheck": {}}}}

    with pytest.raises(jsonschema.ValidationError, match="helthcheck"):
        jsonschema.Draft202012Validator(SCHEMA).validate(wrong)


def test_all_that_was_asked_for_is_there():
    assert set(SERVICES) == {
        *("kafka", "topics", "policy", "node-a", "node-b", "worker", "collector", "prometheus"),
        *("worker-gpu", "ollama-0", "ollama-1", "ollama-model"),
    }
    assert OURS == ["node-a", "node-b", "policy", "topics", "worker", "worker-gpu"]


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting_with_a_value_that_it_may_have(name):
    ours = [variable for variable in environment(name) if variable.startswith("PENSTOCK")]

    assert ours, "a service of ours that is told nothing would start a Kafka of its own"
    # Unknown names and bad values raise, all at once.
    settings(name)


def test_a_misspelt_variable_would_be_found():
    with pytest.raises(Exception, match="booststrap"):
        read(Sources(environ={"PENSTOCK__KAFKA__BOOSTSTRAP": "kafka:19092"}, directory=Path("/nowhere")))


@pytest.mark.parametrize("name", OURS)
def test_every_command_is_one_of_ours_with_arguments_that_it_takes(name):
    command, *arguments = SERVICES[name]["command"]
    module = importlib.import_module(COMMANDS[command][0])
    parser = argparse.ArgumentParser(exit_on_error=False)
    module.add_arguments(parser)

    assert parser.parse_args(arguments) is not None


def test_starting_again_leaves_a_policy_alone_that_was_chosen_meanwhile():
    assert SERVICES["policy"]["command"] == ["policy", "push", "--if-none"]


@pytest.mark.parametrize("name", ["policy", "topics", "worker", "worker-gpu"])
def test_kafka_is_reached_by_the_listener_for_containers(name):
    broker = SERVICES["kafka"]["environment"]

    assert f"INTERNAL://{settings(name).kafka.bootstrap}" in broker["KAFKA_ADVERTISED_LISTENERS"]


def test_programs_on_the_host_reach_kafka_by_the_published_port():
    broker = SERVICES["kafka"]

    assert "HOST://127.0.0.1:9092" in broker["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(",")
    assert broker["ports"] == ["127.0.0.1:9092:9092"]


def test_kafka_is_the_version_that_the_embedded_one_is_locked_to():
    locked = re.search(
        r"org\.apache\.kafka:kafka_2\.13:(\S+)", (ROOT / "infra/embedded/kafka.lock").read_text()
    )

    assert locked is not None
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{locked[1]}"


@pytest.mark.parametrize(
    ("worker", "kind", "nodes"),
    [
        ("worker", "penstock", ["node-a", "node-b"]),
        ("worker-gpu", "ollama", ["ollama-0", "ollama-1"]),
    ],
)
def test_a_worker_is_pointed_at_both_of_its_nodes(worker, kind, nodes):
    listed = settings(worker).nodes

    assert [node.kind for node in listed] == [kind, kind]
    assert [re.sub(r"^http://|:\d+$", "", node.url) for node in listed] == nodes
    assert len({node.known_as for node in listed}) == 2
    assert all(node in SERVICES[worker]["depends_on"] for node in nodes)


def test_nodes_are_reached_where_they_listen():
    for node in settings("worker").nodes:
        name = re.sub(r"^http://|:\d+$", "", node.url)
        listening = settings(name).reference_node
        assert listening.host == "0.0.0.0"
        assert node.url == f"http://{name}:{listening.port}"
        assert f":{listening.port}/health" in SERVICES[name]["healthcheck"]["test"][-1]
    assert all(node.url.endswith(":11434") for node in settings("worker-gpu").nodes)


@pytest.mark.parametrize(("name", "gpu"), [("ollama-0", "0"), ("ollama-1", "1")])
def test_each_ollama_has_a_gpu_of_its_own(name, gpu):
    [device] = SERVICES[name]["deploy"]["resources"]["reservations"]["devices"]

    assert device == {"driver": "nvidia", "device_ids": [gpu], "capabilities": ["gpu"]}


def test_ollama_serves_as_many_at_a_time_as_the_worker_sends():
    slots = {node.slots for node in settings("worker-gpu").nodes}

    assert {str(one) for one in slots} == {environment("ollama-0")["OLLAMA_NUM_PARALLEL"]}


def test_the_model_that_is_pulled_is_the_model_that_is_asked():
    pulled = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", SERVICES["ollama-model"]["command"][1])

    assert {node.model for node in settings("worker-gpu").nodes} == {pulled}


def test_what_needs_a_gpu_is_started_only_when_asked_for():
    asked_for = {name for name, service in SERVICES.items() if service.get("profiles")}

    assert asked_for == {"worker-gpu", "ollama-0", "ollama-1", "ollama-model"}
    assert all(SERVICES[name]["profiles"] == ["gpu"] for name in asked_for)
    for name in set(SERVICES) - asked_for:
        assert not asked_for & set(SERVICES[name].get("depends_on", {})), name


@pytest.mark.parametrize("name", ["worker", "worker-gpu"])
def test_a_worker_tells_its_figures_where_they_are_looked_for(name):
    told = settings(name)
    prometheus = yaml.safe_load((ROOT / "infra/deploy/prometheus.yml").read_text())
    targets = [
        target
        for job in prometheus["scrape_configs"]
        for group in job["static_configs"]
        for target in group["targets"]
    ]

    assert told.http.host == "0.0.0.0"
    assert f"{name}:{told.http.port}" in targets
    assert SERVICES[name]["ports"][0].endswith(f":{told.http.port}")
    assert f":{told.http.port}/ready" in SERVICES[name]["healthcheck"]["test"][-1]
    assert all(target.partition(":")[0] in SERVICES for target in targets)


@pytest.mark.parametrize("name", ["worker", "worker-gpu"])
def test_a_worker_sends_its_traces_where_they_are_taken(name):
    collector = yaml.safe_load((ROOT / "infra/deploy/otel-collector.yaml").read_text())
    port = collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"].rpartition(":")[2]

    assert settings(name).telemetry.traces == "otlp"
    assert settings(name).telemetry.otlp_endpoint == f"http://collector:{port}"
    pipeline = collector["service"]["pipelines"]["traces"]
    assert set(pipeline["receivers"]) <= set(collector["receivers"])
    assert set(pipeline["processors"]) <= set(collector["processors"])
    assert set(pipeline["exporters"]) <= set(collector["exporters"])


def written(name: str) -> set[str]:
    """The directories that a service can write to, in a container that is otherwise read-only."""
    volumes = {volume.split(":")[1] for volume in SERVICES[name].get("volumes", []) if volume[-3:] != ":ro"}
    return volumes | set(SERVICES[name].get("tmpfs", []))


@pytest.mark.parametrize("name", ["node-a", "node-b", "worker", "worker-gpu"])
def test_a_service_that_tells_where_it_runs_can_write_that_down(name):
    data_dir = Path(settings(name).data_dir)

    assert data_dir.is_absolute()
    assert {str(data_dir), *map(str, data_dir.parents)} & written(name)


@pytest.mark.parametrize("name", ["worker", "worker-gpu"])
def test_a_worker_keeps_its_state_on_a_volume_and_has_time_to_drain(name):
    told = settings(name)

    assert told.data_dir in written(name) - set(SERVICES[name]["tmpfs"])
    grace_s = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
    assert grace_s * 1_000 > told.engine.drain_timeout_ms + 5_000


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_nothing_listens_beyond_this_machine(name):
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))
    assert "network_mode" not in SERVICES[name]


def test_no_two_services_publish_one_port():
    published = [port.split(":")[1] for service in SERVICES.values() for port in service.get("ports", [])]

    assert len(published) > 4
    assert len(set(published)) == len(published)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_image_is_pinned_to_a_version(name):
    assert name in OURS or re.fullmatch(r"[a-z0-9/-]+:v?\d+\.\d+\.\d+", SERVICES[name]["image"])


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_service_that_stays_says_how_it_is(name):
    check = SERVICES[name].get("healthcheck", {})

    assert bool(check.get("test")) is (name not in WITHOUT_HEALTH_CHECK)
    assert (SERVICES[name]["restart"] == "no") is (name in RUN_ONCE)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_nobody_waits_for_what_never_comes(name):
    for other, wait in SERVICES[name].get("depends_on", {}).items():
        expected = (
            "service_completed_successfully"
            if other in RUN_ONCE
            else "service_started"
            if other in WITHOUT_HEALTH_CHECK
            else "service_healthy"
        )
        assert wait == {"condition": expected}, other


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_what_is_mounted_is_there(name):
    for volume in SERVICES[name].get("volumes", []):
        source = volume.partition(":")[0]
        if source.startswith("./"):
            assert (ROOT / source).is_file(), source
            assert volume.endswith(":ro")
        else:
            assert source in COMPOSE["volumes"]


@pytest.mark.parametrize("name", OURS)
def test_our_containers_can_do_no_more_than_they_need(name):
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"]["options"] == {"max-size": "20m", "max-file": "5"}


def test_the_image_is_built_from_files_that_are_there_and_let_in():
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        source
        for line in _instructions("COPY")
        if not line.startswith("--from")
        for source in line.split()[:-1]
    }

    assert copied == let_in
    assert all((ROOT / source).exists() for source in copied)
    assert {"schemas", "streams", "agents", "infra", "policies"} <= copied


def test_the_image_installs_nothing_without_its_hash():
    installs = [part for part in re.split(r"[;\n]", _dockerfile()) if "pip install" in part]

    assert len(installs) == 3
    assert all("--require-hashes" in line or "--no-index" in line for line in installs)


def test_the_image_has_two_stages_of_one_python_and_is_not_root():
    bases = [line.split()[0] for line in _instructions("FROM")]

    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.(11|12|13)\.\d+-slim-\w+", bases[0])
    assert _instructions("USER") == ["10001:10001"]
    assert _instructions("ENTRYPOINT") == ['["penstock"]']


def _dockerfile() -> str:
    """The Dockerfile with continued lines joined."""
    return (ROOT / "Dockerfile").read_text().replace("\\\n", " ")


def _instructions(name: str) -> list[str]:
    return [
        line.removeprefix(f"{name} ") for line in _dockerfile().splitlines() if line.startswith(f"{name} ")
    ]
