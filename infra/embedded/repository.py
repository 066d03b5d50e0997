"""Which Maven repository the jars come from: as set, else as the user's Maven has it, else the public one.

No address stands in this code: jgo knows the public repository, and Maven's own `settings.xml` is where a
user behind a company's mirror has written its address already.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from xml.etree import ElementTree as ET

# A settings file is written by hand: one that is larger is something else.
_SETTINGS_BYTES_MAX = 1 << 20
# What `mirrorOf` may say to mean the public repository, which Maven calls `central`.
_MEANS_CENTRAL = frozenset({"*", "central", "external:*"})


def repository_address(mirror: str, maven_settings: Path | None = None) -> str:
    """The base address to fetch from, without a slash at its end."""
    if mirror:
        return mirror.rstrip("/")
    found = _mirror_of_maven(maven_settings or Path.home() / ".m2" / "settings.xml")
    if found:
        return found.rstrip("/")
    # Here, not above: importing jgo takes 0.15 s, and whoever has the jars needs it not.
    from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415

    return str(MAVEN_CENTRAL_URL).rstrip("/")


def shown(address: str) -> str:
    """An address as it may be printed: without the user and password that it may hold."""
    try:
        parts = urlsplit(address)
    except ValueError:
        # It is not even an address: better nothing of it than a password in it.
        return "the mirror"
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def _mirror_of_maven(path: Path) -> str | None:
    try:
        if path.stat().st_size > _SETTINGS_BYTES_MAX:
            return None
        # The user's own file, of bounded size; expat does not load external entities.
        root = ET.parse(path).getroot()  # noqa: S314
    except (OSError, ET.ParseError):
        # Not there, or not XML: Maven would complain of it, and it is not ours to mend.
        return None
    for mirror in root.iterfind("{*}mirrors/{*}mirror"):
        names = {name.strip() for name in mirror.findtext("{*}mirrorOf", "").split(",")}
        if names & _MEANS_CENTRAL and "!central" not in names:
            return mirror.findtext("{*}url", "").strip() or None
    return None
