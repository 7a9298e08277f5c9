"""The answers file: one form, one clear error for each way to be wrong."""

import base64
import re
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sdbox_agent.profile import schema
from sdbox_agent.profile.schema import Disk, Proxy
from sdbox_agent.profile.toml import TomlRefused
from sdbox_agent.provision.setup import answers as answering
from tests.certificates import make
from tests.provision.setup.people import AUTHORITIES, NOW, answers

RAW = answering.encode(answers())
FULL = answers(
    proxy=Proxy(address="192.0.2.9", port=3128),
    disk=Disk(unencrypted="refuse"),
    language="fr",
    profile="detect",
)


@pytest.mark.parametrize("one", [answers(), FULL, answers(hosting=None)])
def test_what_is_written_is_read_back(one: answering.Answers) -> None:
    assert answering.parse(answering.encode(one)) == one


def test_box_toml_is_the_same_without_token_dates_and_anchors() -> None:
    box = answering.box_of(FULL, "virtual")
    text = answering.box_toml(box)
    assert schema.parse_box(text) == box
    assert box.profile == "virtual"
    assert FULL.token.encode() not in text
    assert b"anchors" not in text


def swapped(old: bytes, new: bytes) -> bytes:
    assert old in RAW
    return RAW.replace(old, new, 1)


def b64(der: bytes) -> bytes:
    return b'"' + base64.b64encode(der) + b'"'


CENTRE = b64(AUTHORITIES["centre"].certificate_der)
NAMED = b'host = "centre.test"'
LEAF = make("leaf", NOW, 10, by=make("above", NOW, 10))
WRONG: dict[str, tuple[bytes, bytes, str]] = {
    "no box": (b'box = "box-07"\n', b"", r"key missing: box"),
    "a box of blanks": (b'"box-07"', b'"box 07"', r"^box: "),
    "a token too short": (b"T" * 43, b"T" * 42, r"^token: "),
    "an end long ago": (b"until_s = ", b"until_s = 0 # ", r"^until_s: "),
    "another version": (b"v = 1", b"v = 2", r"^v: "),
    "a key nobody knows": (b"v = 1", b'v = 1\ncolour = "blue"', r"^colour: unknown key"),
    "a table nobody knows": (b"[lan]", b"[wan]", r"^wan: unknown key"),
    "an address that is none": (b'addresses = [\n  "192.0.2.1"', b'addresses = [\n  "192.0.2.999"',
                                r"^centre.addresses: no such address"),
    "a name and no address": (b'host = "192.0.2.1"\nport = 443\naddresses = [\n  "192.0.2.1",\n]',
                              NAMED, r"^centre.addresses: missing, and centre.host is a name"),
    "hosting without a voucher": (b'voucher = "HV-7"\n', b"", r"key missing: voucher"),
    "a voucher of two lines": (b'"HV-7"', b'"HV\\n7"', r"^hosting.voucher: "),
    "no authority": (b"centre = [\n  " + CENTRE + b",", b"centre = [", r"^anchors.centre: "),
    "an authority that is not base64": (CENTRE, b'"?"', r"^anchors.centre"),
    "an authority that is no certificate": (CENTRE, b64(b"no"), r"^anchors.centre: not the cert"),
    "a certificate of no authority": (CENTRE, b64(LEAF.der), r"^anchors.centre: not the cert"),
    "not TOML": (b"v = 1", b"v == 1", r""),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "reason"), WRONG.values(), ids=WRONG)
def test_each_wrong_way_is_one_error_with_its_line(old: bytes, new: bytes, reason: str) -> None:
    with pytest.raises(TomlRefused) as caught:
        answering.parse(swapped(old, new))
    assert re.search(reason, caught.value.reason), caught.value.reason
    assert 1 <= caught.value.line <= RAW.count(b"\n") + 2
    assert "T" * 42 not in caught.value.reason, "no token in an error"


def test_authorities_that_have_not_signed_themselves_are_no_anchors() -> None:
    root = AUTHORITIES["centre"]
    between = root.subordinate("between", NOW)
    old, new = CENTRE, b64(between.certificate_der)
    with pytest.raises(TomlRefused, match=r"anchors.centre: none of them has signed itself"):
        answering.parse(swapped(old, new))


def test_the_line_is_that_of_the_key() -> None:
    wrong = swapped(b'"HV-7"', b"7")
    with pytest.raises(TomlRefused) as caught:
        answering.parse(wrong)
    assert wrong.splitlines()[caught.value.line - 1] == b"voucher = 7"


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
    st.lists(st.one_of(st.integers(), st.text(max_size=3)), max_size=2),
    st.dictionaries(st.sampled_from(["a", "host", "v"]), st.integers(), max_size=2),
)  # fmt: skip


def _paths(table: dict[str, object], above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for name, value in table.items():
        if value is None:
            continue
        found.append((*above, name))
        if isinstance(value, dict):
            found += _paths(value, (*above, name))
    return found


TABLE: dict[str, object] = msgspec.to_builtins(answers())
PATHS = _paths(TABLE)


def _toml(value: object) -> str:
    """Any value as TOML has it, a table inline."""
    match value:
        case dict():
            inner = ", ".join(f"{k} = {_toml(v)}" for k, v in value.items() if v is not None)
            return f"{{ {inner} }}"
        case list() | tuple():
            return f"[{', '.join(_toml(each) for each in value)}]"
        case float():
            return repr(value).replace("+", "")
        case _:
            return msgspec.json.encode(value).decode()


def _with(path: tuple[str, ...], change: Callable[[dict[str, object], str], None]) -> bytes:
    table = msgspec.json.decode(msgspec.json.encode(TABLE))
    at = table
    for name in path[:-1]:
        at = at[name]
    change(at, path[-1])
    lines = (f"{name} = {_toml(value)}\n" for name, value in table.items() if value is not None)
    return "".join(lines).encode("utf-8", "replace")


@given(st.sampled_from(PATHS), VALUES)
def test_any_field_with_any_value_is_taken_or_refused_with_a_line(
    path: tuple[str, ...], value: object
) -> None:
    def change(at: dict[str, object], name: str) -> None:
        at[name] = value

    _taken_or_refused(_with(path, change))


@pytest.mark.parametrize("path", PATHS, ids=".".join)
def test_any_field_may_be_missing_or_twice_and_is_told(path: tuple[str, ...]) -> None:
    def gone(at: dict[str, object], name: str) -> None:
        del at[name]

    def unknown(at: dict[str, object], name: str) -> None:
        at[f"{name}x"] = at.pop(name)

    _taken_or_refused(_with(path, gone))
    with pytest.raises(TomlRefused):
        answering.parse(_with(path, unknown))


@given(st.binary(max_size=200), st.integers(0, len(RAW)))
@example(b"\xff", 3)
@example(b'box = "box-07"\n', 0)
def test_any_bytes_anywhere_are_taken_or_refused_with_a_line(more: bytes, at: int) -> None:
    _taken_or_refused(RAW[:at] + more + RAW[at:])


def _taken_or_refused(raw: bytes) -> None:
    refused: TomlRefused | None = None
    try:
        parsed = answering.parse(raw)
    except TomlRefused as error:
        refused = error
    if refused is not None:
        assert refused.line >= 1
        assert refused.reason
        return
    assert answering.parse(answering.encode(parsed)) == parsed
    box = answering.box_of(parsed, "x")
    assert schema.parse_box(answering.box_toml(box)) == box
