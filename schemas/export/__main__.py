"""`python -m schemas.export`: writes what is generated from the messages into the repository it is run in.

python -m schemas.export                   everything
python -m schemas.export --check           write nothing; say what is not as it should be
python -m schemas.export --typescript DIR  only the TypeScript types, into another project
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from schemas.export.documents import documents
from schemas.export.tables import page_with_tables
from schemas.export.typescript import typescript

PAGE = "docs/messages.md"
TYPES = "messages.d.ts"
TYPES_FOLDER = "examples/node"


def generated(page: str) -> Mapping[str, str]:
    """Every generated file by its place in the repository; `page` is the present docs/messages.md."""
    made = documents()
    schemas = {
        f"schemas/json/{name}.schema.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in made.items()
    }
    return {
        **schemas,
        f"{TYPES_FOLDER}/{TYPES}": typescript(made),
        PAGE: page_with_tables(page, made),
    }


def drifted(root: Path) -> dict[str, str]:
    """The generated files that are missing or otherwise than they should be, with what should be in them."""
    wanted = generated((root / PAGE).read_text(encoding="utf-8"))
    return {place: text for place, text in wanted.items() if _text(root / place) != text}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m schemas.export", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where something differs")
    parser.add_argument("--typescript", metavar="DIR", type=Path, help=f"write only {TYPES}, into DIR")
    args = parser.parse_args(arguments)
    if args.typescript:
        return _write(args.typescript, {TYPES: typescript(documents())})
    if not Path(PAGE).exists():
        sys.stderr.write(f"There is no {PAGE} here: run it in the root of the repository.\n")
        return 2
    differing = drifted(Path())
    if args.check:
        sys.stdout.writelines(
            f"{place} is not as the messages are; run `make schemas`\n" for place in differing
        )
        return 1 if differing else 0
    return _write(Path(), differing)


def _write(root: Path, files: Mapping[str, str]) -> int:
    for place, text in files.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_text(text, encoding="utf-8")
        sys.stdout.write(f"wrote {root / place}\n")
    return 0


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
