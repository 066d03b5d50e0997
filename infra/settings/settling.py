"""Judges one given value against its leaf: parsed, within its bound, a secret only from where one may come.

Between `sources`, which says what was written, and `reading`, which makes the tree. Reads secret files.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from infra.settings.leaves import Leaf, is_allowed, parse, printable, shown
from infra.settings.sources import Given, Mistake
from schemas.settings import Secret

SECRET_FILE_SUFFIX = "_file"  # noqa: S105  The ending of a setting's name, not a password.
# A key or a token; a file that is larger was named by mistake.
SECRET_FILE_BYTES_MAX = 65_536


def find(path: str, known: Mapping[str, Leaf]) -> tuple[Leaf, bool] | None:
    """The leaf that a path means, and whether it means a file that holds the leaf's secret."""
    if path in known:
        return known[path], False
    leaf = known.get(path.removesuffix(SECRET_FILE_SUFFIX)) if path.endswith(SECRET_FILE_SUFFIX) else None
    return (leaf, True) if leaf is not None and leaf.is_secret else None


def unknown(given: Given, name: str, known: Mapping[str, Leaf], also: Iterable[str] = ()) -> Mistake:
    """The mistake of a key that does not exist, with the nearest that does; its value may be a secret."""
    secret_files = [path + SECRET_FILE_SUFFIX for path, leaf in known.items() if leaf.is_secret]
    near = nearest(name, [*known, *secret_files, *also])
    hint = f"; did you mean {near}?" if near else ""
    return Mistake(given.path, f"{given.path} ({given.origin}): there is no such setting{hint}")


def twice(given: Given, leaf: Leaf) -> Mistake:
    """The mistake of a secret that one source gives both as it is and as a file."""
    name = leaf.path.rpartition(".")[2]
    return Mistake(
        given.path, f"{given.path} ({given.origin}): give {name} or {name}{SECRET_FILE_SUFFIX}, not both"
    )


def nearest(path: str, known: Iterable[str]) -> str | None:
    """The known path that a mistyped one most probably means: in whole, or by its last name alone."""
    paths = list(known)
    found = difflib.get_close_matches(path.lower(), paths, n=1, cutoff=0.75)
    if found:
        return found[0]
    by_name = {known_path.rpartition(".")[2]: known_path for known_path in reversed(paths)}
    names = difflib.get_close_matches(path.lower().rpartition(".")[2], list(by_name), n=1, cutoff=0.75)
    return by_name[names[0]] if names else None


def settle(leaf: Leaf, given: Given, *, is_file: bool = False) -> Any | Mistake:
    """The leaf's value, or what is wrong with it."""
    if leaf.is_secret:
        return _settle_secret(leaf, given, is_file=is_file)
    value = parse(leaf, given.value) if given.is_text and isinstance(given.value, str) else given.value
    if is_allowed(leaf, value):
        return float(value) if isinstance(leaf.default, float) else value
    return Mistake(given.path, f"{given.path} = {shown(leaf, value)} ({given.origin}): must be {leaf.bound}")


def _settle_secret(leaf: Leaf, given: Given, *, is_file: bool) -> Secret | Mistake:
    """A secret comes from a file or from the environment.

    Not from the settings file, which is copied and committed, and not from a flag, which every user of the
    machine can read in the list of processes.
    """
    if not isinstance(given.value, str):
        return Mistake(given.path, f"{given.path} = *** ({given.origin}): must be printable text")
    if is_file:
        return _from_file(given)
    if given.origin.source == "environment":
        # An environment may hold bytes that are no text; they would fail in the middle of a handshake.
        is_text = given.value.isprintable()
        return (
            Secret(given.value)
            if is_text
            else Mistake(given.path, f"{given.path} = *** ({given.origin}): must be printable text")
        )
    where = "the settings file" if given.origin.source == "file" else "the command line"
    name = given.path.rpartition(".")[2] or leaf.path
    return Mistake(
        given.path,
        f"{given.path} = *** ({given.origin}): a secret may not stand in {where}; "
        f"give {name}{SECRET_FILE_SUFFIX}, or the environment",
    )


def _from_file(given: Given) -> Secret | Mistake:
    path = given.base / given.value
    where = f"{given.path} = {shown_path(given.value)} ({given.origin})"
    try:
        with path.open("rb") as stream:
            content = stream.read(SECRET_FILE_BYTES_MAX + 1)
        text = content.decode("utf-8")
    except OSError as error:
        return Mistake(given.path, f"{where}: the file cannot be read: {error.strerror}")
    except ValueError:
        return Mistake(given.path, f"{where}: the file must hold UTF-8 text")
    if len(content) > SECRET_FILE_BYTES_MAX:
        return Mistake(given.path, f"{where}: the file must hold at most {SECRET_FILE_BYTES_MAX} bytes")
    # Editors and `echo` end a file with a line break that is no part of the secret.
    secret = text.removesuffix("\n").removesuffix("\r")
    return (
        Secret(secret)
        if secret.isprintable()
        else Mistake(given.path, f"{where}: the file must hold one line of printable text")
    )


def shown_path(value: str) -> str:
    """A file's name on one line."""
    return f'"{printable(value)}"'
