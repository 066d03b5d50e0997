"""Which Penstock this is: asked by the command line, by traces and by the servers' headers."""

from __future__ import annotations

from importlib import metadata


def version() -> str:
    try:
        return metadata.version("penstock")
    except metadata.PackageNotFoundError:
        # A checkout that is run without being installed.
        return "0+checkout"
