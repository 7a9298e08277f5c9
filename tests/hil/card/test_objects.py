"""Data objects, byte for byte where the standard gives the bytes."""

import gzip
from datetime import date
from uuid import UUID

from hil.card import objects
from hil.card.fascn import Fascn
from hil.card.tlv import decode


def test_the_discovery_object_is_the_standards() -> None:
    wire = objects.on_wire(objects.Tag.DISCOVERY, objects.discovery())
    # SP 800-73-5 part 1, 3.3.2: 7E 12 {4F 0B AID} {5F2F 02 40 00}.
    assert wire.hex().upper() == "7E124F0BA0000003080000100001005F2F024000"


def test_the_chuid_has_its_elements_in_order() -> None:
    guid = UUID("00112233-4455-4677-8899-aabbccddeeff")
    found = decode(objects.chuid(guid, date(2030, 11, 2), Fascn()))
    assert [tag for tag, _ in found] == [0x30, 0x34, 0x35, 0x3E, 0xFE]
    values = dict(found)
    assert len(values[0x30]) == 25
    assert values[0x34] == guid.bytes
    assert values[0x35] == b"20301102"


def test_the_capability_container_has_its_elements_in_order() -> None:
    found = decode(objects.capabilities())
    order = [0xF0, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xFA, 0xFB, 0xFC, 0xFD, 0xFE]
    assert [tag for tag, _ in found] == order
    assert len(dict(found)[0xF0]) == 21
    assert dict(found)[0xF5] == b"\x10"  # the PIV data model


def test_a_certificate_says_whether_it_is_gzipped() -> None:
    der = b"\x30\x03\x02\x01\x07" * 40
    assert decode(objects.certificate(der)) == [(0x70, der), (0x71, b"\x00"), (0xFE, b"")]
    packed = dict(decode(objects.certificate(der, compressed=True)))
    assert packed[0x71] == b"\x01"
    assert gzip.decompress(packed[0x70]) == der


def test_only_two_objects_come_bare() -> None:
    assert objects.on_wire(0x7F61, b"\x02\x01\x00").hex() == "7f6103020100"
    assert objects.on_wire(0x5FC102, b"\x01").hex() == "530101"


def test_the_date_printed_is_yyyymmmdd() -> None:
    assert dict(decode(objects.printed(date(2030, 11, 2))))[0x04] == b"2030NOV02"
