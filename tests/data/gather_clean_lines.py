"""How `clean-lines.txt.xz` was made: lines of ordinary text in many scripts, out of unpacked Debian packages.

    apt-get download PACKAGE …; dpkg-deb -x FILE.deb DIRECTORY      for each, see README.md
    python tests/data/gather_clean_lines.py DIRECTORY > clean-lines.txt; xz -9e clean-lines.txt

The same packages make the same file: of each source every so-manieth line is taken, in order.
"""

from __future__ import annotations

import gettext
import gzip
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

# How many lines of each source, and which files it is made of.
FORTUNES_EACH = 60
_MAN_PAGES = """
    man1 900 man3 500 man5 300 man7 900 man8 300 cs 300 de 600 el 1500 es 500 fi 300 fr 600 hu 300 id 200
    ja 1500 mk 600 pl 400 ro 300 ru 1800 sr 600 tr 500 uk 1200 vi 400 zh_CN 900 zh_TW 600
"""
CATALOGUES = """
    am ar as be bn bn_IN dz el fa gu he hi hy ka kk km kn ko ku ky lo ml mn mr my ne or pa ps ta te tg th ug
    ur uz@cyrillic yi
"""
CATALOGUE_EACH = 140
CODE = {".py": 1_500, ".h": 900, ".pl": 300, ".pm": 800, ".sh": 200}
LINE_MIN, LINE_MAX = 12, 400

_REQUEST = re.compile(
    r"^[.'](?:SH|SS|TP|TH|IP|PP|P|LP|RS|RE|br|nf|fi|sp|in|so|de|ie|el|if|EX|EE|UR|UE|MT|ME|SY|YS)\b"
)
_FONT = re.compile(
    r"\\f(?:\[[^]]*\]|\([A-Z]{2}|.)|\\[&,/|^]|\\s[-+]?\d|^\.(?:B|I|BR|BI|IR|RI|RB|IB|SM|SB)\s+"
)


def main(root: Path) -> Iterator[str]:
    """All lines, each once."""
    seen: set[str] = set()
    for line in _sources(root):
        told = " ".join(line.split())
        if LINE_MIN <= len(told) <= LINE_MAX and told not in seen:
            seen.add(told)
            yield told


def _sources(root: Path) -> Iterator[str]:
    fortunes = root / "usr/share/games/fortunes"
    for path in sorted(fortunes.rglob("*")):
        if path.is_file() and path.suffix in {"", ".u8"} and not path.is_symlink():
            yield from _some(_plain(_text(path).splitlines()), FORTUNES_EACH)
    counts = iter(_MAN_PAGES.split())
    for name, count in zip(counts, counts, strict=True):
        yield from _some(_pages(root / "usr/share/man" / name), int(count))
    for language in CATALOGUES.split():
        yield from _some(_catalogue(root / "usr/share/locale" / language / "LC_MESSAGES"), CATALOGUE_EACH)
    for suffix, count in CODE.items():
        files = (path for path in sorted((root / "usr").rglob(f"*{suffix}")) if path.is_file())
        yield from _some((line for path in files for line in _text(path).splitlines()), count)


def _some(lines: Iterable[str], count: int) -> list[str]:
    kept = [line for line in lines if LINE_MIN <= len(line.strip()) <= LINE_MAX]
    return kept[:: max(1, len(kept) // count)][:count]


def _plain(lines: Iterable[str]) -> Iterator[str]:
    return (line for line in lines if line.strip() != "%")


def _pages(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*.gz")):
        for line in gzip.decompress(path.read_bytes()).decode("utf-8", "ignore").splitlines():
            if not line.startswith(('.\\"', "'\\\"", '\\"')) and not _REQUEST.match(line):
                yield _FONT.sub("", line).replace("\\-", "-").replace("\\(aq", "'").replace("\\ ", " ")


def _catalogue(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob("*.mo")):
        try:
            with path.open("rb") as file:
                found = gettext.GNUTranslations(file)
        except IndexError:  # Its rule for plurals is broken.
            continue
        for source, told in sorted(found._catalog.items(), key=str):  # noqa: SLF001 - no other way to all
            # What was left untranslated is English, of which there is enough.
            if isinstance(source, str) and source and told != source and not told.isascii():
                yield from told.splitlines()


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        return ""


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in main(Path(sys.argv[1])))
