"""`penstock up`: a mistake in its flags is told by the flag's own name."""

from __future__ import annotations

import msgspec
import pytest

from infra.cli import main
from infra.errors import ExitCode
from schemas.settings import SuperviseSettings


@pytest.mark.parametrize("workers", [-1, 0, 65])
def test_a_number_of_workers_that_cannot_be_is_told_by_the_flag(
    workers: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["up", f"--workers={workers}"]) == ExitCode.USAGE
    told = capsys.readouterr().err
    assert f"--workers {workers}: give 1 or more, at most 64." in told
    assert "supervise" not in told


def test_the_flag_and_its_setting_have_the_same_bounds() -> None:
    for workers in (1, 64):
        assert msgspec.convert({"workers": workers}, SuperviseSettings).workers == workers
    for workers in (0, 65):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"workers": workers}, SuperviseSettings)
