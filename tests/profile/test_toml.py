"""Every error names the line of the key at fault, and quotes no value."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from sdbox_agent.profile import toml
from sdbox_agent.profile.toml import TomlRefused


class Inner(Struct, forbid_unknown_fields=True, frozen=True):
    port: int
    names: tuple[str, ...] = ()


class Outer(Struct, forbid_unknown_fields=True, frozen=True):
    a: int
    inner: Inner


GOOD = 'a = 1\n\n# a comment\n[inner]\nport = 5\nnames = [\n  "x",\n]\n'


def refused(text: str | bytes) -> tuple[int, str]:
    with pytest.raises(TomlRefused) as caught:
        toml.parse(text.encode() if isinstance(text, str) else text, Outer)
    return caught.value.line, caught.value.reason


def test_what_fits_is_read() -> None:
    assert toml.parse(GOOD.encode(), Outer) == Outer(1, Inner(5, ("x",)))


@pytest.mark.parametrize(
    ("old", "new", "line", "word"),
    [
        ("port = 5", 'port = "secret"', 5, "inner.port"),
        ("port = 5", "port = 5\nsecret = 1", 6, "inner.secret: unknown key"),
        ("port = 5\n", "", 4, "key missing: port"),
        ("a = 1", "a = 1\nb = 2", 2, "b: unknown key"),
        ("a = 1", "", 1, "key missing: a"),
        ('"x"', "7", 6, "inner.names"),
        ("[inner]", "[inner", 4, ""),
        ("port = 5", "port = 5\nport = 6", 6, ""),
        ("port = 5", "port = ", 5, ""),
        ("[inner]\nport = 5", "inner.port = true", 4, "inner.port"),
        ("[inner]\nport = 5\nnames", "other", 4, "other: unknown key"),
    ],
)
def test_the_line_is_that_of_the_key(old: str, new: str, line: int, word: str) -> None:
    assert old in GOOD
    where, reason = refused(GOOD.replace(old, new))
    assert where == line
    assert word in reason
    assert "secret" not in reason.replace("inner.secret", "")


def test_bytes_that_are_not_text_have_a_line_too() -> None:
    assert refused(b"a = 1\nb = '\xff'\n") == (2, "not UTF-8")


def test_what_is_nested_too_deep_or_too_long_is_refused() -> None:
    refused("a = " + "[" * 30_000)
    refused("a = " + "{x=" * 8_000)
    refused("#" * (toml.MAX_BYTES + 1))
    refused("a = 2020-13-45")


@pytest.mark.parametrize("line", ["a{} = 1", "[a{}]", "a = {{ b{} = 1 }}", "[[a{}]]"])
def test_a_key_of_many_parts_costs_nothing(line: str) -> None:
    """In a line of 8 kB it took 0.2 s and 80 MB; in the longest file, 11 s and more than 3 GB."""
    text = "\n" + line.format(".a" * 4_000)
    tracemalloc.start()
    try:
        assert refused(text) == (2, "more than 128 dots; write it on several lines")
        assert tracemalloc.get_traced_memory()[1] < 20 * toml.MAX_BYTES
    finally:
        tracemalloc.stop()


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_arbitrary_text_gives_one_error(text: str | bytes) -> None:
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    with pytest.raises(TomlRefused) as caught:
        toml.parse(data, Outer)
    assert 1 <= caught.value.line <= data.count(b"\n") + data.count(b"\r") + 2
