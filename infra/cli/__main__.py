"""`python -m infra.cli`: the same as `penstock`, for a checkout that is not installed."""

from __future__ import annotations

import sys

from infra.cli import main

if __name__ == "__main__":
    sys.exit(main())
