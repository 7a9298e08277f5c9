"""What is written on a card: the standard's bytes, as client and virtual card read them."""

import datetime as dt

import pytest

from hil.card import bits as virtual_bits
from hil.card.fascn import Fascn
from sdbox_agent.card import occ, piv, tlv
from sdbox_agent.cardkind import Bit
from sdbox_centre import cardobjects
from tests.pki.grown import GUID
from tests.sdbox_centre.desking import BITS

EXPIRES = dt.date(2030, 2, 28)


def test_the_chuid_is_read_as_it_was_meant() -> None:
    content = cardobjects.chuid(GUID, EXPIRES)
    chuid = piv.decode_chuid(cardobjects.wrapped(piv.OBJECT_CHUID, content))
    assert (chuid.guid, chuid.expires) == (GUID, "20300228")


def test_the_fascn_is_that_of_no_agency() -> None:
    # the virtual card computes its own, digit by digit
    fascn = Fascn().encode()
    assert tlv.parse(cardobjects.chuid(GUID, EXPIRES))[0] == tlv.Item(0x30, fascn)


def test_the_discovery_object_says_what_opens_the_keys() -> None:
    for match, written in ((False, "4000"), (True, "5000")):
        whole = cardobjects.wrapped(piv.OBJECT_DISCOVERY, cardobjects.discovery(match=match))
        # SP 800-73pt1-5 section 3.3.2, built by hand
        assert whole.hex() == f"7e124f0ba0000003080000100001005f2f02{written}"
        assert piv.decode_discovery(whole).hex() == written


def test_the_bit_group_is_the_standards_bytes() -> None:
    # one right index at 96, 12 to 60 minutiae ascending by Y then X
    one = "7f601c830196a117810108820109870201018802 0005b10781020c3c820109".replace(" ", "")
    other = one.replace("830196", "830197").replace("820109", "82010a", 1)
    for bits, whole in (
        ((), "7f6103020100"),
        (BITS[:1], f"7f6122020101{one}"),
        (BITS, f"7f6141020102{one}{other}"),
    ):
        group = cardobjects.bit_group(bits)
        assert cardobjects.wrapped(occ.OBJECT_BIT_GROUP, group).hex() == whole
        read = virtual_bits.parse(group)
        assert {key: (bit.minimum, bit.maximum) for key, bit in read.items()} == {
            int(bit.key, 16): (12, 60) for bit in bits
        }


def test_a_finger_without_a_position_is_not_written() -> None:
    nameless = Bit(key="96", position=0, minimum=12, maximum=60, order=9)
    with pytest.raises(ValueError, match="position"):
        cardobjects.bit_group((nameless,))


def test_the_capabilities_are_of_one_card_and_always_the_same() -> None:
    first = cardobjects.capabilities(GUID)
    assert first == cardobjects.capabilities(GUID) != cardobjects.capabilities(bytes(16))
    identifier, *rest = tlv.parse(first)
    assert (identifier.tag, len(identifier.value)) == (0xF0, 21)  # pt1 table 8
    assert tlv.Item(0xF5, b"\x10") in rest


@pytest.mark.parametrize("size", [1, 300, 2000])
def test_a_certificate_object_gives_back_its_bytes(size) -> None:
    der = bytes(range(250)) * (size // 250 + 1)
    content = cardobjects.certificate(der)
    assert piv.decode_certificate(cardobjects.wrapped(0x5FC105, content)) == der
