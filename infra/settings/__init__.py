"""The settings reader: defaults < TOML file < environment < flags, and the reload of what is live.

A command says `load(args)`; a long-running process gives the result to a `Reloader`. Everything else of the
package is for `penstock config` and its tests. The tree itself is declared in `schemas/settings.py`.
"""

from __future__ import annotations

from infra.settings.reading import Loaded, load, read
from infra.settings.reloading import Reloader
from infra.settings.sources import Sources

__all__ = ["Loaded", "Reloader", "Sources", "load", "read"]
