"""Makes a broker's directory ready for it: configuration, and storage formatted once. Starts no broker.

Storage is formatted beside its place and renamed, so that a half formatted one is never taken for a whole.
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.embedded.diagnosis import disk_full, explained
from infra.embedded.java import ENVIRONMENT, LOG_CONFIGURATION, tool_command
from infra.embedded.properties import Place, SecureListener, rendered, server_properties

# Less cannot hold an empty broker's files for long; Kafka would stop at once, with many words.
FREE_BYTES_MIN = 32 << 20
_FORMAT_S = 60.0


def new_cluster_id() -> str:
    """A cluster id as Kafka makes them; it begins with a letter, as some tools take `-…` for an option."""
    while (made := urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")).startswith("-"):
        pass
    return made


def check_room(directory: Path) -> None:
    """Refuse a disk on which a broker could not live."""
    free_bytes = shutil.disk_usage(directory).free
    if free_bytes < FREE_BYTES_MIN:
        raise disk_full(directory, free_bytes)


def write_configuration(
    directory: Path, place: Place, peers: Sequence[Place], secure: SecureListener | None
) -> None:
    """Write what the broker reads at its start; made anew each time, so an edited file is not kept."""
    home = directory / place.home
    shutil.rmtree(home / "unpacked", ignore_errors=True)
    (home / "unpacked").mkdir(parents=True)
    (directory / "logs").mkdir(exist_ok=True)
    shutil.copyfile(Path(__file__).with_name(LOG_CONFIGURATION), directory / LOG_CONFIGURATION)
    configuration = home / "server.properties"
    configuration.write_text(rendered(server_properties(place, peers, secure)), encoding="ascii")
    # With a secure listener it holds passwords.
    configuration.chmod(0o600)


class Storage:
    """Formats the storage of brokers that have none, with Kafka's own tool, all at once."""

    def __init__(
        self, directory: Path, java: Path, jars: Sequence[Path], secure: SecureListener | None
    ) -> None:
        self._directory = directory
        self._java = java
        self._jars = jars
        self._secure = secure

    def format(self, places: Mapping[Place, int]) -> None:
        """Format what is not; each place comes with the lock that its broker will hold."""
        cluster_id = self._cluster_id()
        missing = [place for place in places if not self._meta(place).is_file()]
        children = [(place, self._begin(place, cluster_id, places[place])) for place in missing]
        try:
            for place, child in children:
                self._finish(place, child)
        finally:
            for _, child in children:
                child.kill()
                child.communicate()

    def _begin(self, place: Place, cluster_id: str, lock: int) -> subprocess.Popen[bytes]:
        home = self._directory / place.home
        shutil.rmtree(home / "data.new", ignore_errors=True)
        configuration = home / "format.properties"
        text = (home / "server.properties").read_text(encoding="ascii")
        # The later of two lines with one key is the one that counts.
        configuration.write_text(f"{text}log.dirs={place.home}/data.new\n", encoding="ascii")
        configuration.chmod(0o600)
        words = ["format", "--cluster-id", cluster_id, "--config", f"{place.home}/format.properties"]
        # The child inherits the broker's lock: if we are killed, nobody formats beside it.
        return subprocess.Popen(
            tool_command(self._java, self._jars, "kafka.tools.StorageTool", words + _scram(self._secure)),
            cwd=self._directory,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(lock,),
        )

    def _finish(self, place: Place, child: subprocess.Popen[bytes]) -> None:
        home = self._directory / place.home
        try:
            said, _ = child.communicate(timeout=_FORMAT_S)
        except subprocess.TimeoutExpired:
            said = f"Error: formatting took more than {_FORMAT_S:g} s".encode()
        (home / "format.properties").unlink(missing_ok=True)
        if child.returncode:
            free_bytes = shutil.disk_usage(self._directory).free
            raise explained(self._directory, "", said.decode("utf-8", "replace"), free_bytes)
        (home / "data.new").rename(home / "data")

    def _cluster_id(self) -> str:
        """The id of the storage that is there, so that a broker added to it belongs to it; else a new one."""
        for meta in self._directory.glob("broker-*/data/meta.properties"):
            for line in meta.read_text(encoding="ascii").splitlines():
                if line.startswith("cluster.id="):
                    return line.removeprefix("cluster.id=")
        return new_cluster_id()

    def _meta(self, place: Place) -> Path:
        return self._directory / place.home / "data" / "meta.properties"


def _scram(secure: SecureListener | None) -> list[str]:
    if secure is None:
        return []
    return [
        f"--add-scram={mechanism}=[name={user},password={password}]"
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
        for user, password in secure.users.items()
    ]
