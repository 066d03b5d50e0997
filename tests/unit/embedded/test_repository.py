"""Where jars come from: the setting, else the user's Maven settings, else what the library knows."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from infra.embedded.repository import repository_address, shown

MIRROR = "https://mirror.example/maven"


def maven_settings(directory: Path, mirror_of: str, root: str = '<settings xmlns="some:namespace">') -> Path:
    path = directory / "settings.xml"
    path.write_text(
        f"{root}<mirrors><mirror><id>a</id><mirrorOf>{mirror_of}</mirrorOf>"
        f"<url> {MIRROR}/ </url></mirror></mirrors></settings>"
    )
    return path


def test_the_setting_wins(tmp_path: Path) -> None:
    assert (
        repository_address("https://own.example/m2/", maven_settings(tmp_path, "*"))
        == "https://own.example/m2"
    )


@pytest.mark.parametrize("mirror_of", ["central", "*", "external:*", "others, central", "*,!others"])
def test_a_mirror_of_the_user_s_maven_is_found(mirror_of: str, tmp_path: Path) -> None:
    assert repository_address("", maven_settings(tmp_path, mirror_of)) == MIRROR


def test_settings_without_a_namespace_are_read_too(tmp_path: Path) -> None:
    assert repository_address("", maven_settings(tmp_path, "*", "<settings>")) == MIRROR


@pytest.mark.parametrize("mirror_of", ["others", "*,!central", ""])
def test_a_mirror_of_something_else_is_passed_over(mirror_of: str, tmp_path: Path) -> None:
    found = repository_address("", maven_settings(tmp_path, mirror_of))
    assert found != MIRROR
    assert urlsplit(found).scheme == "https"


@pytest.mark.parametrize("content", ["", "not XML", "<settings/>", "<a>" * 3])
def test_maven_settings_that_cannot_be_read_are_passed_over(content: str, tmp_path: Path) -> None:
    path = tmp_path / "settings.xml"
    path.write_text(content)
    assert urlsplit(repository_address("", path)).scheme == "https"
    path.unlink()
    assert urlsplit(repository_address("", path)).scheme == "https"


def test_an_address_is_shown_without_its_password() -> None:
    assert (
        shown("https://user:secret@host.example:8443/maven?token=secret") == "https://host.example:8443/maven"
    )
