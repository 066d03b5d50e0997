"""`kafka start --foreground`: the embedded Kafka as somebody's child, which ends when Kafka ends.

One broker: this process becomes it, and nothing is between Kafka and who supervises it. Three brokers are
children, looked after from here; if this process is killed they live on, and the next start adopts them.
"""

from __future__ import annotations

import signal
import time
from types import FrameType
from typing import NoReturn

from infra.embedded.cluster import EmbeddedKafka
from infra.errors import ExitCode
from schemas.settings import EmbeddedSettings

# How soon a dead broker of three is noticed.
_LOOK_S = 0.2


class _Asked(BaseException):
    """We were told to end. Not an Exception: nothing on the way may take it for a failure of its own."""


def run_in_foreground(kafka: EmbeddedKafka, settings: EmbeddedSettings) -> int:
    """Run until told to end (then stop the brokers), or until a broker dies (then raise why)."""
    if settings.brokers == 1:
        kafka.become()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _ask)
    try:
        kafka.start()
        while True:
            time.sleep(_LOOK_S)
            kafka.check()
    except _Asked:
        return ExitCode.OK
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        kafka.stop()


def _ask(_number: int, _frame: FrameType | None) -> NoReturn:
    raise _Asked
