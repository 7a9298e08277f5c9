"""Every line that preflight may print can be told the centre, and little else can."""

import pytest

from sdbox_agent.centre import wire
from sdbox_agent.centre.reported import MAX_LINES, Measured
from sdbox_agent.errors import DecodeError
from sdbox_agent.provision import preflight

LINE = Measured(what="clock", result="warn", code="time-silent")


def report(*network: Measured) -> wire.ReportRequest:
    return wire.ReportRequest(
        box="b", agent_version="0", profile="p", revision=1, machine="", usb=(),
        tpm=False, keys="ABCDE-ABCDE-ABCDE-ABCDE", network=network,
    )  # fmt: skip


def test_every_line_that_preflight_knows_can_be_told() -> None:
    for what in preflight.TITLES:
        for result in preflight.SAID:
            for code in ("", *preflight.REMEDIES):
                said = report(Measured(what=what, result=result, code=code))
                assert wire.decode(wire.encode(said), wire.ReportRequest) == said


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"time-silent", b"192.0.2.7"), (b"time-silent", b"a word"), (b"warn", b"perhaps"),
        (b"clock", b"Clock"), (b'"code"', b'"detail"'), (b"time-silent", b"x" * 42),
    ],
)  # fmt: skip
def test_what_is_no_line_is_refused(old: bytes, new: bytes) -> None:
    data = wire.encode(report(LINE)).replace(old, new)
    with pytest.raises(DecodeError):
        wire.decode(data, wire.ReportRequest)


def test_no_more_lines_are_taken_than_a_form_has() -> None:
    most = wire.encode(report(*[LINE] * MAX_LINES))
    assert len(wire.decode(most, wire.ReportRequest).network) == MAX_LINES
    with pytest.raises(DecodeError):
        wire.decode(wire.encode(report(*[LINE] * (MAX_LINES + 1))), wire.ReportRequest)


def test_a_report_from_before_there_were_any_has_none() -> None:
    data = wire.encode(report()).replace(b',"network":[]', b"")
    assert wire.decode(data, wire.ReportRequest) == report()
