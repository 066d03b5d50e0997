"""Fetching jars: whole and verified or not at all, whatever the repository, the network or a kill does.

The repository is a real HTTP server on loopback that misbehaves as told; processes are real, too.
"""

from __future__ import annotations

import hashlib
import io
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from deadline import until

from infra.embedded.artifacts import Artifact
from infra.embedded.jars import cache_directory, ensure, missing
from infra.embedded.progress import Drawn
from infra.errors import ExitCode, Failure

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


def content_of(number: int) -> bytes:
    return bytes([number]) * (100_000 + number)


def jar(number: int) -> Artifact:
    content = content_of(number)
    return Artifact(
        "kafka", f"org.example:jar-{number}:1.0", len(content), hashlib.sha256(content).hexdigest()
    )


JARS = [jar(number) for number in range(12)]


class Repository(ThreadingHTTPServer):
    """A Maven repository; `faults` says of a path what to do wrong, once for each word."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = {f"/m2/{one.path}": content_of(number) for number, one in enumerate(JARS)}
        self.faults: dict[str, list[str]] = {}
        self.requests: list[str] = []
        self.is_released = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/m2"

    def fail(self, artifact: Artifact, *faults: str) -> None:
        self.faults[f"/m2/{artifact.path}"] = list(faults)


class _Handler(BaseHTTPRequestHandler):
    server: Repository

    def do_GET(self) -> None:
        # A proxy is asked for the whole address.
        path = self.path.removeprefix("http://repository.example")
        self.server.requests.append(self.path)
        fault, *rest = self.server.faults.get(path) or ["none"]
        self.server.faults[path] = rest
        body = self.server.files.get(path)
        if fault.isdigit() or body is None:
            self.send_error(int(fault) if fault.isdigit() else 404)
            return
        body = {"wrong": b"x" * len(body), "longer": body + b"x", "shorter": body[:-1]}.get(fault, body)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(ConnectionError):
            self.wfile.write(body[:1_000])
            if fault == "truncated":
                return
            if fault == "hang":
                self.wfile.flush()
                self.server.is_released.wait(30)
            self.wfile.write(body[1_000:])

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def repository() -> Iterator[Repository]:
    server = Repository()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.is_released.set()
    server.shutdown()
    thread.join()
    server.server_close()


def files_in(cache: Path) -> set[str]:
    return {path.relative_to(cache).as_posix() for path in cache.rglob("*") if path.is_file()} - {
        "fetching.lock"
    }


def refused(artifacts: list[Artifact], cache: Path, mirror: str) -> str:
    with pytest.raises(Failure) as caught:
        ensure(artifacts, cache, mirror)
    assert caught.value.exit_code == ExitCode.EMBEDDED_KAFKA
    return caught.value.sentence


def test_all_jars_are_brought_once(repository: Repository, tmp_path: Path) -> None:
    paths = ensure(JARS, tmp_path, repository.address)
    assert [path.read_bytes() for path in paths] == [content_of(number) for number in range(len(JARS))]
    assert ensure(JARS, tmp_path, "http://127.0.0.1:1") == paths, "what is there needs no repository"
    assert len(repository.requests) == len(JARS)
    assert files_in(tmp_path) == {one.path for one in JARS}


def test_only_what_is_missing_or_spoiled_is_brought(repository: Repository, tmp_path: Path) -> None:
    first, second, third, *_ = paths = ensure(JARS, tmp_path, repository.address)
    first.unlink()
    second.write_bytes(b"x" * second.stat().st_size)
    third.write_bytes(third.read_bytes()[:-1])
    assert missing(JARS, tmp_path) == JARS[:3]
    repository.requests.clear()
    ensure(JARS, tmp_path, repository.address)
    assert len(repository.requests) == 3
    assert missing(JARS, tmp_path) == []
    assert paths[1].read_bytes() == content_of(1)


def test_a_wrong_hash_is_told_and_not_kept(repository: Repository, tmp_path: Path) -> None:
    repository.fail(JARS[3], "wrong")
    told = refused(JARS[3:4], tmp_path, repository.address)
    assert "org.example:jar-3:1.0" in told
    assert "its SHA-256 is not the locked one" in told
    assert files_in(tmp_path) == set()
    assert len(repository.requests) == 1, "what was changed on its way is not asked for again"


def test_a_longer_file_is_told_and_not_kept(repository: Repository, tmp_path: Path) -> None:
    repository.fail(JARS[3], "longer")
    assert "larger than the locked" in refused(JARS[3:4], tmp_path, repository.address)
    assert files_in(tmp_path) == set()


@pytest.mark.parametrize("fault", ["truncated", "shorter", "503", "429"])
def test_what_may_pass_is_tried_again(fault: str, repository: Repository, tmp_path: Path) -> None:
    repository.fail(JARS[5], fault)
    (path,) = ensure(JARS[5:6], tmp_path, repository.address)
    assert path.read_bytes() == content_of(5)
    assert len(repository.requests) == 2


@pytest.mark.parametrize(("fault", "words"), [("truncated", "could not be had"), ("503", "it answered 503")])
def test_it_is_tried_three_times_and_then_told(
    fault: str, words: str, repository: Repository, tmp_path: Path
) -> None:
    repository.fail(JARS[5], *[fault] * 5)
    assert words in refused(JARS[5:6], tmp_path, repository.address)
    assert len(repository.requests) == 3
    assert files_in(tmp_path) == set()


def test_a_repository_without_the_jar_is_told(repository: Repository, tmp_path: Path) -> None:
    told = refused(JARS[:1], tmp_path, repository.address + "/elsewhere")
    assert "it answered 404" in told
    assert "embedded.mirror" in told
    assert len(repository.requests) == 1


def test_without_a_network_it_says_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        told = refused(JARS, tmp_path, f"http://user:secret@127.0.0.1:{unused.getsockname()[1]}/m2")
    assert "penstock kafka fetch" in told
    assert "embedded.mirror" in told
    assert "secret" not in told
    assert files_in(tmp_path) == set()


@pytest.mark.parametrize("mirror", ["no address", "ftp://127.0.0.1/m2", "http://[half"])
def test_a_mirror_that_is_no_address_is_told(mirror: str, tmp_path: Path) -> None:
    assert "embedded.mirror" in refused(JARS[:1], tmp_path, mirror)


def test_one_bad_jar_leaves_the_good_ones_whole(repository: Repository, tmp_path: Path) -> None:
    repository.fail(JARS[0], "404")
    refused(JARS, tmp_path, repository.address)
    assert files_in(tmp_path) <= {one.path for one in JARS[1:]}
    assert all(
        content_of(JARS.index(one)) == (tmp_path / one.path).read_bytes()
        for one in JARS
        if one not in missing(JARS, tmp_path)
    )
    ensure(JARS, tmp_path, repository.address)


def test_a_cache_that_cannot_be_written_is_told(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Failure, match=r"embedded\.cache_dir") as caught:
        ensure(JARS, tmp_path / "file" / "cache", repository.address)
    assert caught.value.exit_code == ExitCode.TAKEN


def test_a_proxy_of_the_environment_is_used(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", repository.address.removesuffix("/m2"))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    ensure(JARS[:1], tmp_path, "http://repository.example/m2")
    assert repository.requests == [f"http://repository.example/m2/{JARS[0].path}"]


def fetching_process(cache: Path, address: str, count: int) -> subprocess.Popen[str]:
    """Another process that fetches the first jars into a cache."""
    lines = "\n".join(one.line for one in JARS[:count])
    code = (
        "import sys; from pathlib import Path; from infra.embedded.artifacts import parse_lock\n"
        "from infra.embedded.jars import ensure\n"
        "ensure(parse_lock(sys.argv[1]).artifacts, Path(sys.argv[2]), sys.argv[3])"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, lines, str(cache), address],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_at_once_fetch_each_jar_once(repository: Repository, tmp_path: Path) -> None:
    processes = [fetching_process(tmp_path, repository.address, len(JARS)) for _ in range(2)]
    for process in processes:
        _, complaint = process.communicate(timeout=30)
        assert process.returncode == 0, complaint
    assert sorted(repository.requests) == sorted(f"/m2/{one.path}" for one in JARS)
    assert missing(JARS, tmp_path) == []


def test_a_kill_in_the_middle_leaves_no_half_jar_and_the_next_one_clears_up(
    repository: Repository, tmp_path: Path
) -> None:
    repository.fail(JARS[0], "hang")
    process = fetching_process(tmp_path, repository.address, 1)
    until(lambda: list(tmp_path.rglob("*.part")), within_s=20)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    assert missing(JARS[:1], tmp_path) == JARS[:1]
    assert all(name.endswith(".part") for name in files_in(tmp_path))
    ensure(JARS[:1], tmp_path, repository.address)
    assert files_in(tmp_path) == {JARS[0].path}


def test_progress_goes_up_to_all_there_is(repository: Repository, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    ensure(JARS, tmp_path, repository.address, lambda done, total: seen.append((done, total)))
    total = sum(one.size_bytes for one in JARS)
    assert seen[-1] == (total, total)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_drawn_in_place_on_a_terminal() -> None:
    terminal = FakeTerminal()
    drawn = Drawn(terminal, "Kafka")
    for done in (1_000_000, 1_000_001, 2_000_000, 5_000_000):
        drawn(done, 5_000_000)
    assert terminal.getvalue() == (
        "\rFetching Kafka: 1 of 5 MB\rFetching Kafka: 2 of 5 MB\rFetching Kafka: 5 of 5 MB\n"
    )


def test_progress_is_two_lines_anywhere_else() -> None:
    stream = io.StringIO()
    drawn = Drawn(stream, "Kafka")
    for done in (1, 2_000_000, 3_000_000, 5_000_000):
        drawn(done, 5_000_000)
    assert stream.getvalue() == "Fetching Kafka: 5 MB\nFetched Kafka\n"


def test_the_cache_is_the_user_s_unless_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory("") == tmp_path / "penstock" / "jars"
    assert cache_directory("/elsewhere") == Path("/elsewhere")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_directory("") == Path.home() / ".cache" / "penstock" / "jars"
