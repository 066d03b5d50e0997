"""The example of docs/engine.md, run as it stands: each record is settled when its handler returns."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from deadline import eventually
from engine import committed, make_topics, produce

PAGE = Path(__file__).parents[2] / "docs" / "engine.md"


async def test_the_example_of_the_page_reads_a_topic_and_commits_what_it_has_handled(
    kafka: str, topics_prefix: str, tmp_path: Path
) -> None:
    (code,) = re.findall(
        r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    page: dict[str, Any] = {"__name__": "page"}
    exec(compile(code, PAGE.name, "exec"), page)  # noqa: S102 - it is our own page
    make_topics(kafka, topics_prefix)
    produce(kafka, f"{topics_prefix}patient", range(400))
    written: list[int] = []
    condemned: list[int] = []

    async def write_down(_key: bytes | None, value: bytes | None) -> None:
        number = int(value or b"-1")
        if number == 250:
            raise ValueError
        written.append(number)

    def condemn(batch: Any, record: Any, _bug: Exception) -> None:
        condemned.append(int(record.value))
        batch.settle(record.offset)

    stopped: list[Exception] = []
    app = page["make_app"](
        kafka,
        f"{topics_prefix}group",
        f"{topics_prefix}patient",
        tmp_path,
        write_down,
        condemn,
        stopped.append,
    )
    await app.start()
    try:
        await eventually(lambda: len(written) + len(condemned) == 400, within_s=60)
    finally:
        await app.stop()
    assert sorted(written) == [number for number in range(400) if number != 250]
    assert (condemned, stopped) == ([250], [])
    assert sum(committed(kafka, topics_prefix).values()) == 400
