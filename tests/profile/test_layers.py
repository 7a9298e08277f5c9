"""A base and its drop-ins: one profile, each value's origin, each error's file and line."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.profile import layers, schema
from sdbox_agent.profile.layers import DEFAULT, Layer, LayerRefused, Origin
from tests.fuzz.fuzz_profile import PROFILE

BASE = Layer("base.toml", PROFILE)


def over(text: str, name: str = "50.toml") -> Layer:
    return Layer(name, text.encode())


def refused(*above: Layer, base: Layer = BASE) -> tuple[str, int, str]:
    with pytest.raises(LayerRefused) as caught:
        layers.parse([base, *above])
    return caught.value.file, caught.value.line, caught.value.reason


def test_a_base_alone_is_the_profile_and_knows_its_lines() -> None:
    found = layers.parse([BASE])
    assert found.profile == schema.parse_profile(PROFILE)
    assert found.origin(("sensor",)) == Origin("base.toml", 5)
    assert found.origin(("reader", "usb")) == Origin("base.toml", 8)
    assert str(found.origin(("reader",))) == "base.toml:7"
    assert str(found.origin(("tpm", "version"))) == DEFAULT


def test_tables_are_merged_and_everything_else_replaced_the_last_wins() -> None:
    first = over('# ours\n[reader]\npad = true\n[card]\nkinds = ["piv-free"]\n')
    last = over('sensor = "vfs301"\nreader.pad = false\n[tpm]\nversion = "2.0"\n', "60.toml")
    found = layers.parse([BASE, first, last])
    profile = found.profile
    assert (profile.sensor, profile.reader.pad, profile.tpm.version) == ("vfs301", False, "2.0")
    assert profile.reader.names == ("R",), "not touched by what was merged into its table"
    assert profile.card.kinds == ("piv-free",), "a list is replaced whole"
    assert found.origin(("card", "kinds")) == Origin("50.toml", 5)
    assert found.origin(("reader", "pad")) == Origin("60.toml", 2)
    assert found.origin(("reader", "names")) == Origin("base.toml", 7)
    assert found.origin(("sensor",)) == Origin("60.toml", 1)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[reader]\ninterface = 'contactless'", 2, ["reader.interface", '"contact"']),
        ("\n[reader]\npads = true", 3, ["reader.pads: unknown key", "known here: names"]),
        ("reader = 1", 1, ["reader", "known here"]),
        ("[tpm", 1, []),
        ("v = 2", 1, ["v"]),
        ("[board]\ndmi = [{ vendor = 'A' }]", 2, ["board.dmi: key missing: product", "write"]),
        ("[board]\ndmi = [{ vendor = '', product = 'x' }]", 2, ["board.dmi.vendor", "one line"]),
        ("levels = ['host-match', 'host-match']", 1, ["levels: one stands there twice"]),
        ("[usb]\nallow = ['08e6:4433']", 2, ["usb.allow: the reader stands there"]),
        ("x = 1\nname = 'y'", 2, ["name: only the base profile"]),
        ("revision = 7", 1, ["revision: only the base profile"]),
        ("levels = 0", 1, ["levels", "host-match"]),
    ],
)
def test_an_error_names_the_file_the_line_and_the_remedy(
    text: str, line: int, words: list[str]
) -> None:
    file, where, reason = refused(over("[card]\nkinds = ['piv-pin']", "10.toml"), over(text))
    assert (file, where) == ("50.toml", line), reason
    for word in words:
        assert word in reason


def test_what_is_missing_is_told_of_the_base() -> None:
    short = Layer("base.toml", PROFILE.replace(b'model = "X"\n', b""))
    assert refused(over("[reader]\npad = true"), base=short)[:2] == ("base.toml", 1)
    bare = Layer("base.toml", PROFILE.replace(b'names = ["R"]\n', b""))
    assert refused(base=bare)[:2] == ("base.toml", 6)


KEYS = st.sampled_from(["v", "sensor", "reader", "names", "usb", "card", "kinds", "tpm", "x"])
VALUES = st.sampled_from(["1", '"x"', "[]", '["a"]', "true", "{}", "{ names = [] }", "inf"])
LINES = st.one_of(
    st.builds("{} = {}".format, KEYS, VALUES),
    st.builds("{}.{} = {}".format, KEYS, KEYS, VALUES),
    st.builds("[{}]".format, KEYS),
    st.text(max_size=20),
)


@given(st.lists(LINES, max_size=8))
def test_anything_laid_over_gives_a_profile_or_one_error(lines: list[str]) -> None:
    data = "\n".join(lines).encode("utf-8", "replace")
    try:
        found = layers.parse([BASE, Layer("50.toml", data)])
    except LayerRefused as error:
        told = (error.file in {"base.toml", "50.toml"}, error.line >= 1)
    else:
        told = (True, True)
        for keys in found.origins:
            assert found.origin(keys).line >= 1
    assert told == (True, True)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_by_their_own_name(data: bytes) -> None:
    with contextlib.suppress(LayerRefused):
        layers.parse([BASE, Layer("50.toml", data)])
