"""Certificates for tests: an authority made on the spot, and a server's key that it has signed.

With the keytool of the Java runtime that the embedded Kafka brings along, so that no other tool is needed.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from infra.embedded.java import java_path


@dataclass(frozen=True)
class Authority:
    """What a server and its clients are given."""

    certificate: Path
    """PEM file of the authority, for clients."""
    keystore: Path
    """PKCS12 file of the server's key and the chain of its certificate."""
    keystore_password: str


def make_authority(directory: Path, *, host: str) -> Authority:
    """Make an authority, and a server's certificate for one IP address."""
    password = "changeit"
    ca, server = directory / "ca.p12", directory / "server.p12"
    certificate = directory / "ca.pem"

    def keytool(command: str, store: Path, alias: str, *arguments: str, entered: bytes = b"") -> bytes:
        path = java_path().with_name("keytool")
        shared = ["-keystore", str(store), "-storetype", "PKCS12", "-storepass", password, "-alias", alias]
        done = subprocess.run(
            [str(path), f"-{command}", *shared, *arguments],
            input=entered,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, (done.stdout + done.stderr).decode()
        return done.stdout

    made = ("-keyalg", "EC", "-groupname", "secp256r1", "-validity", "30")
    keytool(
        "genkeypair",
        ca,
        "ca",
        *made,
        "-dname",
        "CN=Tests",
        "-ext",
        "bc:c=ca:true",
        "-ext",
        "ku:c=keyCertSign",
    )
    keytool("genkeypair", server, "server", *made, "-dname", "CN=broker")
    request = keytool("certreq", server, "server")
    signed = keytool(
        "gencert", ca, "ca", "-rfc", "-validity", "30", "-ext", f"san=ip:{host}", "-ext", "eku=serverAuth",
        entered=request,
    )  # fmt: skip
    certificate.write_bytes(keytool("exportcert", ca, "ca", "-rfc"))
    keytool("importcert", server, "ca", "-noprompt", entered=certificate.read_bytes())
    keytool("importcert", server, "server", "-noprompt", entered=signed)
    return Authority(certificate=certificate, keystore=server, keystore_password=password)
