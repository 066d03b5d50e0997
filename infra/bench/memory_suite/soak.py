"""A process that remembers digests as they go by, and tells its resident memory now and then: for `bounded`.

python -m infra.bench.memory_suite.soak ours|dict DIGESTS DIRECTORY
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from infra.bench.engine_suite.memory import resident_mb
from infra.bench.memory_suite.memos import LIMITS, placed
from streams.clock import SystemClock
from streams.remembered import RocksMemory
from streams.rocks import BlockCache

LOOKS = 50
_CACHE_BYTES = 8 << 20
# So little that most of what goes by must leave.
_BYTES_MAX = 128 << 20


def main(side: str, digests: int, directory: Path) -> None:
    """Print a line for each look: how many went by, megabytes resident, memos held."""
    plain: dict[str, bytes] = {}
    limits = LIMITS._replace(bytes_max=_BYTES_MAX)
    ours = RocksMemory(directory, limits, BlockCache(_CACHE_BYTES), SystemClock())
    ours.restored(0)
    for number in range(1, digests + 1):
        one = placed(number)
        if side == "ours":
            ours.remember([one], number)
        else:
            plain[one.memo.question_digest] = one.value
        if number % (digests // LOOKS) == 0:
            held = ours.stats().entries if side == "ours" else len(plain)
            print(number, resident_mb(os.getpid()), held, ours.stats().bytes, flush=True)
    ours.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
