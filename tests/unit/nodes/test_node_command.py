"""`penstock node` as a process: says where it is, refuses what cannot be, and leaves nothing behind."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from deadline import until

from infra.errors import ExitCode

pytestmark = pytest.mark.slow

# Half a second is what it gives to open requests; the rest is for a machine that others use, too.
STOPPED_WITHIN_S = 15


def start(data_dir: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "infra.cli", "node", "--data-dir", str(data_dir), "--port", "0", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def get(url: str, path: str) -> bytes:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


@contextmanager
def running(data_dir: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], dict]]:
    process = start(data_dir, *words)
    told = data_dir / "run" / "node.json"
    try:
        until(lambda: told.exists() or process.poll() is not None, within_s=20)
        assert process.poll() is None, process.stderr.read()
        yield process, json.loads(told.read_text())
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, ExitCode.OK), (signal.SIGINT, ExitCode.INTERRUPTED)]
)
def test_it_tells_where_it_is_serves_and_stops(tmp_path, number, status):
    with running(tmp_path) as (process, told):
        assert told["pid"] == process.pid
        assert told["url"].startswith("http://127.0.0.1:")
        assert b"ok" in get(told["url"], "/health")
        process.send_signal(number)
        out, err = process.communicate(timeout=STOPPED_WITHIN_S)
    assert process.returncode == status
    assert "not a language model" in out
    assert err == ""
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["node.lock"]


def test_a_request_that_hangs_does_not_keep_it_from_stopping(tmp_path):
    with running(tmp_path, "--fault", "hang=1") as (process, told):
        host, port = told["url"].removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as client:
            body = b'{"messages":[{"role":"user","content":"hi"}]}'
            head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
            client.sendall(head + body)
            until(lambda: b"requests_running 1.0" in get(told["url"], "/metrics"), within_s=5)
            process.terminate()
            process.communicate(timeout=STOPPED_WITHIN_S)
    assert process.returncode == ExitCode.OK


def test_what_another_node_told_is_left_alone(tmp_path):
    with running(tmp_path) as (process, _):
        other = json.dumps({"pid": os.getpid(), "url": "http://127.0.0.1:1"})
        (tmp_path / "run" / "node.json").write_text(other)
        process.terminate()
        process.communicate(timeout=STOPPED_WITHIN_S)
    assert (tmp_path / "run" / "node.json").read_text() == other


def failed(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, err = process.communicate(timeout=20)
    return process.returncode, err


def test_a_taken_port_is_refused_with_a_sentence(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, err = failed(start(tmp_path, "--port", str(port)))
    assert status == ExitCode.TAKEN
    assert f"127.0.0.1:{port}" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "run" / "node.json").exists()


def test_a_second_one_in_a_data_directory_is_refused_and_the_first_stays_known(tmp_path):
    with running(tmp_path) as (process, told):
        status, err = failed(start(tmp_path))
        assert status == ExitCode.TAKEN
        assert f"A reference node runs already for {tmp_path} (pid {process.pid})" in err
        assert err.count("\n") == 1
        assert json.loads((tmp_path / "run" / "node.json").read_text()) == told
        assert b"ok" in get(told["url"], "/health")


def test_a_data_directory_below_a_file_is_refused_with_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    status, err = failed(start(tmp_path / "file" / "data"))
    assert status == ExitCode.TAKEN
    assert "--data-dir" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--fault", "quux=0.1"), "There is no fault quux"),
        (("--fault", "hang"), "needs a rate"),
        (("--slots", "0"), "reference_node.slots"),
        (("--slots", "many"), "reference_node.slots"),
        (("--gguf", "model.gguf", "--context", "0"), "'0' is no number from 1 to"),
        (("--gguf", "model.gguf", "--threads", "-1"), "--threads"),
        (("--context", "4096"), "are for a model: --gguf FILE"),
        (("--gguf", "model.gguf", "--set", "reference_node.ssl_cert_file=x.pem"), "comes without TLS"),
    ],
)
def test_a_mistake_in_the_flags_is_told_in_a_sentence(tmp_path, words, says):
    status, err = failed(start(tmp_path, *words))
    assert status == ExitCode.USAGE
    assert says in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("content", "code", "told"),
    [
        (None, ExitCode.USAGE, "model.gguf cannot be read (No such file or directory)"),
        (b"PK\x03\x04", ExitCode.USAGE, "model.gguf is no GGUF file"),
        (b"GGUF\x03\x00\x00\x00" + b"\xff" * 64, ExitCode.TAKEN, "llama.cpp cannot serve"),
    ],
)
def test_a_model_that_cannot_be_served_is_told_in_a_sentence(tmp_path, content, code, told):
    model = tmp_path / "model.gguf"
    if content is not None:
        model.write_bytes(content)
    process = start(tmp_path, "--gguf", str(model))
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.count("\n")) == (code, "", 1)
    assert told in err
