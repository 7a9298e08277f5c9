"""A test holder's card by name."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hil.card import holder
from hil.card.bits import Bit
from hil.card.card import PivCard
from hil.card.objects import Tag
from tests.hil.card.helpers import SELECT_PIV, command, get_data, sw_of

ISSUER = holder.Issuer.create()


def selected(card: PivCard):
    chip = card.power_on()
    assert sw_of(chip.transmit(SELECT_PIV)) == 0x9000
    return chip


def certificate(card: PivCard, tag: Tag) -> x509.Certificate:
    data, _ = get_data(selected(card).transmit, tag)
    return x509.load_der_x509_certificate(data[data.index(b"\x30\x82") : -5])


def test_a_name_is_one_card_again_with_other_keys() -> None:
    one, again, other = (holder.card_of(name, ISSUER) for name in ("a", "a", "b"))
    assert one.guid == again.guid == holder.guid("a")
    assert one.guid != other.guid
    keys = {card.public_keys()["9A"].public_numbers() for card in (one, again, other)}
    assert len(keys) == 3


def test_the_issuers_certificates_say_what_each_key_is_for() -> None:
    kinds = {"9A": "P-256", "9C": "P-256", "9D": "RSA-2048", "9E": "P-384"}
    card = holder.card_of("holder-1", ISSUER, algorithms=kinds)
    auth, management = certificate(card, Tag.CERTIFICATE_9A), certificate(card, Tag.CERTIFICATE_9D)
    for each in (auth, management, certificate(card, Tag.CERTIFICATE_9E)):
        each.verify_directly_issued_by(ISSUER.certificate)
        names = each.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        assert [name.value for name in names] == ["holder-1"]
        uris = each.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert uris.get_values_for_type(x509.UniformResourceIdentifier) == [
            f"urn:uuid:{holder.guid('holder-1')}"
        ]
    usage = management.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_encipherment, usage.key_agreement) == (True, False)
    assert isinstance(certificate(card, Tag.CERTIFICATE_9E).public_key(), ec.EllipticCurvePublicKey)


def test_the_issuer_is_an_authority_and_its_key_is_not_shown() -> None:
    constraints = ISSUER.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.value.ca
    ISSUER.certificate.verify_directly_issued_by(ISSUER.certificate)
    assert x509.load_pem_x509_certificate(ISSUER.pem) == ISSUER.certificate
    assert "PrivateKey" not in repr(ISSUER)


def test_a_grown_finger_is_one_the_card_takes_in_its_order() -> None:
    grown = holder.grown_finger("holder-1")
    assert grown == holder.grown_finger("holder-1") != holder.grown_finger("holder-2")
    assert Bit(0x96, 12, 60).takes(grown)
    places = [(grown[i + 1], grown[i]) for i in range(0, len(grown), 3)]
    assert places == sorted(places)
    assert {t >> 6 for t in grown[2::3]} == {1, 2}


@pytest.mark.parametrize("form", ["raw", "7f2e"])
def test_a_card_that_compares_knows_its_holder(form: str) -> None:
    card = holder.card_of("holder-1", ISSUER, match=form, match_bound=True)
    chip, probe = selected(card), holder.grown_finger("holder-1")
    assert chip.transmit(command(0x20, 0, 0x80)) == b"\x69\x83"
    if form == "raw":
        apdu = command(0x20, 0, 0x96, probe)
    else:
        apdu = command(0x21, 0, 0x96, b"\x7f\x2e\x7a\x81\x78" + probe)
    assert chip.transmit(apdu) == b"\x90\x00"


def test_given_fingers_are_taken_and_no_others() -> None:
    fingers = {"97": (7, holder.grown_finger("another"))}
    card = holder.card_of("holder-1", ISSUER, match="raw", fingers=fingers)
    chip = selected(card)
    assert chip.transmit(command(0x20, 0, 0x96)) == b"\x6a\x88"
    assert chip.transmit(command(0x20, 0, 0x97, holder.grown_finger("another"))) == b"\x90\x00"
    with pytest.raises(ValueError, match="finger"):
        holder.card_of("holder-1", ISSUER, match="raw", fingers={"96": (2, b"\x00")})
