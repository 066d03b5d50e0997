"""Certificates for tests: an authority made on the spot, and a server's key that it has signed.

With the keytool of the Java runtime that the embedded Kafka brings along, so that no other tool is needed.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from infra.embedded.java import java_path

_PASSWORD = "changeit"
_NEW_KEY = ("-keyalg", "EC", "-groupname", "secp256r1", "-validity", "30")


@dataclass(frozen=True)
class Server:
    """What a server and its clients are given."""

    certificate: Path
    """PEM file of the authority, for clients."""
    keystore: Path
    """PKCS12 file of the server's key and the chain of its certificate."""
    keystore_password: str


def make_authority(directory: Path) -> Path:
    """Make an authority; the PEM file of its certificate."""
    extensions = ("-ext", "bc:c=ca:true", "-ext", "ku:c=keyCertSign")
    _keytool("genkeypair", directory / "ca.p12", "ca", *_NEW_KEY, "-dname", "CN=Tests", *extensions)
    certificate = directory / "ca.pem"
    certificate.write_bytes(_keytool("exportcert", directory / "ca.p12", "ca", "-rfc"))
    return certificate


def make_server(directory: Path, *, host: str) -> Server:
    """Make an authority and a server's certificate for one IP address."""
    certificate = make_authority(directory)
    authority, server = directory / "ca.p12", directory / "server.p12"
    _keytool("genkeypair", server, "server", *_NEW_KEY, "-dname", "CN=broker")
    request = _keytool("certreq", server, "server")
    extensions = ("-ext", f"san=ip:{host}", "-ext", "eku=serverAuth")
    signed = _keytool("gencert", authority, "ca", "-rfc", "-validity", "30", *extensions, entered=request)
    _keytool("importcert", server, "ca", "-noprompt", entered=certificate.read_bytes())
    _keytool("importcert", server, "server", "-noprompt", entered=signed)
    return Server(certificate=certificate, keystore=server, keystore_password=_PASSWORD)


def _keytool(command: str, store: Path, alias: str, *arguments: str, entered: bytes = b"") -> bytes:
    path = str(java_path().with_name("keytool"))
    shared = ["-keystore", str(store), "-storetype", "PKCS12", "-storepass", _PASSWORD, "-alias", alias]
    done = subprocess.run(
        [path, "-J-XX:TieredStopAtLevel=1", f"-{command}", *shared, *arguments],
        input=entered,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return done.stdout
