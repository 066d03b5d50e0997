"""Where the policy that Penstock brings along lies: in a checkout and in an installed wheel alike."""

from __future__ import annotations

from pathlib import Path

import policies


def default_policy_path() -> Path:
    return Path(policies.__file__).parent / "default.toml"
