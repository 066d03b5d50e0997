"""Breaks messages on purpose, from a seed: as a broken disk does, a broken client, an enemy."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

# What JSON is made of, and what has broken readers of it before.
TOKENS = (
    b"{", b"}", b"[", b"]", b":", b",", b'"', b"\\", b"null", b"true", b"false", b"NaN", b"Infinity", b"-",
    b"0", b"-0", b"01", b"1e", b"1e5", b"1.0", b"9" * 400, b"1e999", b"-1e-999", b"0." + b"1" * 300,
    b"18446744073709551616", b"9223372036854775808", b"2147483648",
    b'""', b'"x"', b'"v"', b'"kind"', b'"id"', b'"event"', b'"order"', b'"scan"', b"{}", b"[]", b"[[]]",
    b"\\u0000", b"\\ud800", b"\\udfff", b"\\ud83d\\ude00", b"\\u12", b"\\x", b"\x00", b"\xff", b"\xc0\x80",
    b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\n", b" ", b"`", b"/*", b"'",
)  # fmt: skip
DEPTHS = (10, 900, 1_100, 10_000)
OPENINGS = ((b"[", b"]"), (b'{"a":', b"}"), (b'[{"v":', b"}]"))

Mutation = Callable[[Random, bytes, bytes], bytes]


def mutated(random: Random, data: bytes, other: bytes) -> bytes:
    """The message after one to four mutations; `other` is another message, for parts of it."""
    for _ in range(random.choice((1, 1, 2, 4))):
        data = random.choices(MUTATIONS, WEIGHTS)[0](random, data, other)
    return data


def flip_bit(random: Random, data: bytes, _other: bytes) -> bytes:
    at = _place(random, data)
    return data[:at] + bytes(byte ^ (1 << random.randrange(8)) for byte in data[at : at + 1]) + data[at + 1 :]


def put_byte(random: Random, data: bytes, _other: bytes) -> bytes:
    at = _place(random, data)
    return data[:at] + random.randbytes(1) + data[at + random.randrange(2) :]


def truncate(random: Random, data: bytes, _other: bytes) -> bytes:
    return data[: _place(random, data)]


def cut_out(random: Random, data: bytes, _other: bytes) -> bytes:
    start, stop = sorted((_place(random, data), _place(random, data)))
    return data[:start] + data[stop:]


def repeat(random: Random, data: bytes, _other: bytes) -> bytes:
    start = _place(random, data)
    stop = start + random.randrange(40)
    return data[:stop] + data[start:stop] * random.randrange(1, 4) + data[stop:]


def splice(random: Random, data: bytes, other: bytes) -> bytes:
    return data[: _place(random, data)] + other[_place(random, other) :]


def put_token(random: Random, data: bytes, _other: bytes) -> bytes:
    at = _place(random, data)
    return data[:at] + random.choice(TOKENS) + data[at + random.choice((0, 0, 1, 3)) :]


def replace_value(random: Random, data: bytes, _other: bytes) -> bytes:
    """What stands after a colon becomes something else, and the rest stays as it was."""
    start = data.find(b":", _place(random, data)) + 1
    stop = min((at for mark in (b",", b"}", b"]") if (at := data.find(mark, start)) >= 0), default=len(data))
    return data[:start] + random.choice(TOKENS) + data[stop:]


def replace_token(random: Random, data: bytes, _other: bytes) -> bytes:
    """One name or one value everywhere: fields that are missing, or there twice."""
    words = data.split(b'"')
    return data.replace(random.choice(words) or b"v", random.choice(words))


def nest(random: Random, data: bytes, _other: bytes) -> bytes:
    """A depth bomb in the place of a value, closed or not."""
    start = data.find(b":", _place(random, data)) + 1
    depth, (opening, closing) = random.choice(DEPTHS), random.choice(OPENINGS)
    return data[:start] + opening * depth + b"1" + closing * (depth * random.randrange(2)) + data[start:]


def blow_up_number(random: Random, data: bytes, _other: bytes) -> bytes:
    start = data.find(b":", _place(random, data)) + 1
    number = random.choice((b"9" * 5_000, b"-" + b"1" * 30, b"0." + b"3" * 2_000, b"1e" + b"9" * 20))
    return data[:start] + number + b"," + data[start:]


# Bombs are large, and so are slow to make: fewer of them.
_WEIGHTED: dict[Mutation, int] = {
    flip_bit: 20,
    put_byte: 15,
    truncate: 10,
    cut_out: 10,
    repeat: 10,
    splice: 10,
    put_token: 20,
    replace_value: 20,
    replace_token: 10,
    nest: 2,
    blow_up_number: 5,
}
MUTATIONS = tuple(_WEIGHTED)
WEIGHTS = tuple(_WEIGHTED.values())


def _place(random: Random, data: bytes) -> int:
    return random.randrange(len(data) + 1)
