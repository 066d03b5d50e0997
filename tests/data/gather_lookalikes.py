"""How `drawn-alike.json` was made: letters of Cyrillic and Greek that a font draws exactly as Latin ones.

    python tests/data/gather_lookalikes.py DejaVuSans.ttf LiberationSans-Regular.ttf > drawn-alike.json

It needs fonttools. What is drawn alike is known from the outlines alone: the same points, the same width. So
it comes from another source than Unicode's table of lookalikes, by which texts are folded.
"""

from __future__ import annotations

import json
import string
import sys
from unicodedata import name

from fontTools.pens.recordingPen import DecomposingRecordingPen
from fontTools.ttLib import TTFont

SCRIPTS = ("CYRILLIC", "GREEK")


def main(paths: list[str]) -> dict[str, dict[str, str]]:
    """Of each script, the letters that each Latin letter may be replaced with."""
    found: dict[str, dict[str, set[str]]] = {script.lower(): {} for script in SCRIPTS}
    for path in paths:
        font = TTFont(path)
        drawn = {code: _outline(font, glyph) for code, glyph in font.getBestCmap().items() if code < 0x530}
        for latin in string.ascii_letters:
            for code, outline in drawn.items():
                script = name(chr(code), "").split(" ")[0]
                if script in SCRIPTS and outline == drawn[ord(latin)]:
                    found[script.lower()].setdefault(latin, set()).add(chr(code))
    return {
        script: {latin: "".join(sorted(others)) for latin, others in sorted(letters.items())}
        for script, letters in found.items()
    }


def _outline(font: TTFont, glyph: str) -> tuple[object, ...]:
    glyphs = font.getGlyphSet()
    pen = DecomposingRecordingPen(glyphs)
    glyphs[glyph].draw(pen)
    return (glyphs[glyph].width, *map(str, pen.value))


if __name__ == "__main__":
    json.dump(main(sys.argv[1:]), sys.stdout, ensure_ascii=False, indent=1)
    sys.stdout.write("\n")
