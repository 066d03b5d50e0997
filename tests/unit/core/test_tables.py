"""A table of characters forgets what it knows before it grows without end, and then says the same again."""

from __future__ import annotations

from streams.core.tables import ENTRIES_MAX, Table, read_by


class Small(Table):
    """Each character as a small letter."""

    def _made(self, char):
        return char.lower()


def test_a_table_is_bounded_whatever_it_is_asked():
    table = Small()
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 2 * ENTRIES_MAX)))
    assert read_by(table, text) == text.lower()
    assert 0 < len(table) <= ENTRIES_MAX


def test_what_was_forgotten_is_found_out_again():
    table = Small()
    assert read_by(table, "\u00c4A") == "\u00e4a"
    read_by(table, "".join(map(chr, range(0x4E00, 0x4E00 + 2 * ENTRIES_MAX))))
    assert read_by(table, "\u00c4A") == "\u00e4a"
