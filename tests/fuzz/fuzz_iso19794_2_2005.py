"""Records from outside: read, re-encoded, made ready for comparison; never another exception."""

from sdbox_agent.biometrics import iso19794_2_2005 as iso
from sdbox_agent.biometrics.compare import compare, prepare
from sdbox_agent.biometrics.minutia import Minutia, MinutiaType, Template
from sdbox_agent.errors import DecodeError

_VIEW = Template(
    tuple(
        Minutia(40.0 + 31 * (k % 6), 40.0 + 37 * (k // 6), 0.3 * (k % 20), MinutiaType.ENDING, 60)
        for k in range(30)
    )
)
_PROBE = prepare(_VIEW)

SEEDS: list[bytes] = [
    iso.encode(iso.record_of({2: [_VIEW]}, 300, 400)),
    iso.encode(iso.record_of({2: [_VIEW, _VIEW], 7: [_VIEW]}, 300, 400)),
]


def target(data: bytes) -> None:
    """A record is refused by DecodeError, or kept byte for byte and compared to a number."""
    try:
        record = iso.decode(data)
    except DecodeError:
        return
    if iso.encode(record) != data:
        raise AssertionError("a record changed on its way")
    for view in record.views[:2]:
        score = compare(_PROBE, prepare(record.template(view)))
        if not 0 <= score <= 1:
            raise AssertionError("a score out of range")
