"""The issuer's commands, by SP 800-73-5 part 2, 3.2.4 and 3.3; and a card torn at each of them."""

import copy
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hil.card import bits, objects
from hil.card.apdu import Refusal
from hil.card.card import PivCard
from hil.card.chip import Chip
from hil.card.faults import TearAt, TearPoint
from hil.card.objects import Tag
from hil.card.script import Answer, Script
from tests.hil.card.helpers import (
    SELECT_PIV,
    Issuer,
    Transmit,
    authenticate,
    command,
    exchange,
    get_data,
    self_made,
    sw_of,
    template,
    three_n,
)

KEY = bytes(range(32))
DIGEST = bytes(range(32))
OLD, NEW = three_n(1), three_n(2)


def on(card: PivCard) -> Chip:
    chip = card.power_on()
    assert sw_of(chip.transmit(SELECT_PIV)) == 0x9000
    return chip


def issuer_of(card: PivCard, *, proved: bool = True) -> Issuer:
    issuer = Issuer(on(card).transmit, KEY)
    if proved:
        assert issuer.authenticate() == 0x9000
    return issuer


def factory() -> PivCard:
    return PivCard.create(factory=True, admin_key=KEY)


# -- mutual authentication


def test_both_prove_the_key_and_the_card_takes_its_issuer_for_one_power_on() -> None:
    card = factory()
    issuer = issuer_of(card)
    assert issuer.put(Tag.CHUID, b"\xfe\x00") == 0x9000
    assert issuer_of(card, proved=False).put(Tag.CHUID, b"\xfe\x00") == 0x6982


def test_another_key_is_refused_and_takes_away_what_was_proved() -> None:
    issuer = issuer_of(factory())
    assert issuer.authenticate(bytes(32)) == 0x6982
    assert issuer.put(Tag.CHUID, b"\xfe\x00") == 0x6982


def test_a_witness_serves_once_and_not_without_being_asked_for() -> None:
    issuer = issuer_of(factory(), proved=False)
    body = b"\x7c\x24\x80\x10" + bytes(16) + b"\x81\x10" + bytes(16)
    step = command(0x87, 0x0C, 0x9B, body, b"\x00")
    assert issuer.transmit(step) == b"\x69\x82"
    first, second = issuer.witness(), issuer.witness()
    assert first != second
    assert [issuer.transmit(step).hex() for _ in range(2)] == ["6982", "6982"]
    assert issuer.authenticate() == 0x9000


@pytest.mark.parametrize(
    ("apdu", "sw"),
    [
        ("0087039B047C02800000", "6a86"),  # 3DES
        ("0087089B047C02800000", "6a86"),  # AES-128
        ("00870C9B047C02810000", "6a80"),  # external authentication
        ("00870C9B047C02820000", "6a80"),
        ("00870C9B027C0000", "6a80"),
        ("00870C9B01FF00", "6a80"),
        ("00870C9B0A7C08800281008102000000", "6a80"),
    ],
)
def test_what_is_no_step_of_it_is_refused(apdu: str, sw: str) -> None:
    assert on(factory()).transmit(bytes.fromhex(apdu)).hex() == sw


def test_without_a_key_there_is_no_issuer() -> None:
    chip = on(PivCard.create())
    assert chip.transmit(bytes.fromhex("00870C9B047C02800000")) == b"\x6a\x86"
    with pytest.raises(ValueError, match="AES"):
        PivCard.create(admin_key=bytes(31))


# -- PUT DATA and GENERATE


def test_a_factory_card_has_a_pin_and_a_puk_and_nothing_to_use_them_for() -> None:
    card = factory()
    chip = on(card)
    assert card.public_keys() == {}
    assert authenticate(chip.transmit, "P-256", 0x9A, template(0x81, DIGEST))[1] == 0x6A86
    assert get_data(chip.transmit, Tag.CERTIFICATE_9A) == (b"", 0x6A82)
    assert chip.transmit(bytes.fromhex("0020008008313233343536FFFF")) == b"\x90\x00"
    assert (card.puk, card.admin_key) == ("12345678", KEY)
    assert len(PivCard.create(factory=True).admin_key) == 32


def test_nothing_is_changed_without_9b() -> None:
    card = factory()
    issuer = issuer_of(card, proved=False)
    before = dict(card._memory.objects)
    assert issuer.put(Tag.CERTIFICATE_9A, bytes(400)) == 0x6982
    assert issuer.put(Tag.DISCOVERY, objects.discovery(compares=True)) == 0x6982
    assert issuer.generate("9A", "P-256") == (b"", 0x6982)
    assert card._memory.objects == before


@pytest.mark.parametrize("name", ["9A", "9C", "9D", "9E"])
@pytest.mark.parametrize("algorithm", ["P-256", "P-384"])
def test_a_generated_key_is_the_one_the_card_uses(name: str, algorithm: str) -> None:
    card = factory()
    data, sw = issuer_of(card).generate(name, algorithm)
    assert sw == 0x9000
    public = card.public_keys()[name]
    point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert data == b"\x7f\x49" + bytes([len(point) + 2, 0x86, len(point)]) + point


def test_an_rsa_key_comes_with_modulus_and_exponent() -> None:
    card = factory()
    data, sw = issuer_of(card).generate("9A", "RSA-2048")
    assert sw == 0x9000
    numbers = card.public_keys()["9A"].public_numbers()
    assert data[:4].hex() == "7f498201"
    assert numbers.n.to_bytes(256, "big") in data
    assert data.endswith(b"\x82\x03\x01\x00\x01")


@pytest.mark.parametrize(
    ("apdu", "sw"),
    [
        ("0047009B05AC03800111", "6a86"),
        ("0047019A05AC03800111", "6a86"),
        ("0047009A05AC03800106", "6a80"),
        ("0047009A08AC06800111AA0101", "6a80"),  # Yubico's PIN policy
        ("0047009A02AC00", "6a80"),
        ("0047009A01AC", "6a80"),
    ],
)
def test_a_key_of_another_kind_is_not_made(apdu: str, sw: str) -> None:
    assert issuer_of(factory()).transmit(bytes.fromhex(apdu)).hex() == sw


def test_what_is_put_is_read_and_what_is_put_empty_is_gone() -> None:
    card = factory()
    issuer = issuer_of(card)
    content = objects.certificate(bytes(range(256)) * 6)
    assert issuer.put(Tag.CERTIFICATE_9A, content) == 0x9000
    data, sw = get_data(issuer.transmit, Tag.CERTIFICATE_9A)
    assert (data[4:], sw) == (content, 0x9000)
    assert issuer.put(Tag.CERTIFICATE_9A, b"") == 0x9000
    assert get_data(issuer.transmit, Tag.CERTIFICATE_9A) == (b"", 0x6A82)


@pytest.mark.parametrize(
    ("tag", "content", "sw"),
    [
        (0x7E, b"\x4f\x01\x00", 0x6A80),
        (0x7E, b"\x5f\x2f\x01\x40", 0x6A80),
        (0x7F61, b"\x02\x01\x01", 0x6A80),
        (0x5FFF00, b"\x80\x00", 0x6A81),
        (0x5FC102, bytes(4096), 0x6700),
    ],
)
def test_a_broken_object_is_not_put(tag: int, content: bytes, sw: int) -> None:
    card = factory()
    before = dict(card._memory.objects)
    assert issuer_of(card).put(tag, content) == sw
    assert card._memory.objects == before


@pytest.mark.parametrize("data", ["", "5C035FC102", "5C035FC10253", "53015C", "5C025FC15300"])
def test_what_is_no_put_is_refused(data: str) -> None:
    apdu = command(0xDB, 0x3F, 0xFF, bytes.fromhex(data))
    assert issuer_of(factory()).transmit(apdu)[0] == 0x6A
    assert issuer_of(factory()).transmit(command(0xDB, 0x3F, 0xFE, b"\x7e\x00")) == b"\x6a\x86"


def test_a_factory_card_becomes_one_that_a_finger_alone_opens() -> None:
    card = factory()
    issuer = issuer_of(card)
    for name in ("9A", "9D", "9E"):
        assert issuer.generate(name, "P-256")[1] == 0x9000
    for name, der in self_made(card).items():
        assert issuer.put(objects.CERTIFICATE_TAGS[name], objects.certificate(der)) == 0x9000
    assert issuer.store(0x96, NEW) == 0x9000
    assert issuer.transmit(command(0x20, 0, 0x96, NEW)) == b"\x6a\x88"  # not said so yet
    assert issuer.put(Tag.BIT_GROUP, bits.group({0x96: 2})) == 0x9000
    assert issuer.put(Tag.DISCOVERY, objects.discovery(compares=True)) == 0x9000
    transmit = issuer.transmit
    for _ in range(5):
        transmit(command(0x20, 0, 0x80, b"999999\xff\xff"))
        transmit(command(0x2C, 0, 0x80, b"99999999" + b"123456\xff\xff"))
    assert transmit(command(0x20, 0, 0x80)) == b"\x69\x83"
    transmit = on(card).transmit
    assert authenticate(transmit, "P-256", 0x9A, template(0x81, DIGEST))[1] == 0x6982
    assert transmit(command(0x20, 0, 0x96, NEW)) == b"\x90\x00"
    signature, sw = authenticate(transmit, "P-256", 0x9A, template(0x81, DIGEST))
    assert sw == 0x9000
    public = card.public_keys()["9A"]
    public.verify(signature, DIGEST, ec.ECDSA(Prehashed(hashes.SHA256())))


# -- torn


class TornError(Exception):
    pass


def reissue(transmit: Transmit) -> None:
    """Every kind of thing a card keeps is written anew; the certificate in pieces."""
    exchange(transmit, SELECT_PIV)
    issuer = Issuer(transmit, KEY)
    issuer.authenticate()
    issuer.generate("9A", "P-256")
    issuer.put(Tag.CERTIFICATE_9A, b"\x70" * 700)
    issuer.store(0x96, NEW)
    issuer.put(Tag.BIT_GROUP, bits.group({0x96: 7}))
    issuer.put(Tag.DISCOVERY, objects.discovery())
    exchange(transmit, command(0x24, 0, 0x80, b"123456\xff\xff" + b"654321\xff\xff"))
    exchange(transmit, command(0x2C, 0, 0x80, b"12345678" + b"111111\xff\xff"))
    exchange(transmit, command(0x24, 0, 0x81, b"12345678" + b"87654321"))


@dataclass(frozen=True)
class Seen:
    """What tells an old thing from a new one, and would tell a half."""

    key: bytes
    certificate: bytes
    finger: tuple[bool, bool, int]
    group: bytes
    discovery: bytes
    pins: tuple[int, ...]
    pin_tries: int
    puk: str


def seen(card: PivCard) -> Seen:
    card = copy.deepcopy(card)
    chip = on(card)
    read = [
        get_data(chip.transmit, tag)[0]
        for tag in (Tag.CERTIFICATE_9A, Tag.BIT_GROUP, Tag.DISCOVERY)
    ]
    held = card._memory.fingers[0x96]
    matching = []
    for reference in (OLD, NEW):
        probe = copy.deepcopy(held)
        try:
            probe.check(reference)
        except Refusal:
            matching.append(False)
        else:
            matching.append(True)
    pins = [b"123456\xff\xff", b"654321\xff\xff", b"111111\xff\xff"]
    public = card.public_keys()["9A"]
    return Seen(
        key=public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        certificate=read[0],
        finger=(matching[0], matching[1], held.retries.left),
        group=read[1],
        discovery=read[2],
        pins=tuple(
            sw_of(on(copy.deepcopy(card)).transmit(command(0x20, 0, 0x80, p))) for p in pins
        ),
        pin_tries=card.pin_tries_left,
        puk=card.puk,
    )


def issued() -> PivCard:
    card = PivCard.create(admin_key=KEY, fingers={"96": (2, OLD)}, pin_tries=4)
    card.install(self_made(card))
    return card


def through(card: PivCard, script: Script) -> Transmit:
    chip, count = card.power_on(), 0
    script.fit(chip)

    def transmit(raw: bytes) -> bytes:
        nonlocal count
        count += 1
        act = script.play(count, raw, chip)
        if not isinstance(act, Answer):
            raise TornError
        return act.raw

    return transmit


def apdus_of_a_reissue() -> int:
    sent = []
    chip = issued().power_on()
    reissue(lambda raw: (sent.append(raw), chip.transmit(raw))[1])
    return len(sent)


APDUS = apdus_of_a_reissue()


def test_there_is_something_to_tear() -> None:
    assert APDUS >= 12


@pytest.mark.parametrize("point", TearPoint)
@pytest.mark.parametrize("n", range(1, APDUS + 1))
def test_a_card_torn_while_it_is_written_has_old_or_new(n: int, point: TearPoint) -> None:
    card = issued()
    before = seen(card)
    with pytest.raises(TornError):
        reissue(through(card, Script([TearAt(n, point)])))
    torn = seen(card)
    # Up to here the same card, in one life: only whole commands count, and each of them whole.
    acted_on = n - (point is TearPoint.COMMAND)
    assert (torn.key != before.key) == (acted_on >= 4)
    assert torn.certificate in (before.certificate, b"\x53\x82\x02\xbc" + b"\x70" * 700)
    assert torn.finger in ((True, False, 5), (False, True, 5))
    assert torn.group in (before.group, objects.on_wire(Tag.BIT_GROUP, bits.group({0x96: 7})))
    assert torn.discovery in (before.discovery, objects.on_wire(Tag.DISCOVERY, objects.discovery()))
    assert torn.pins.count(0x9000) == 1
    assert torn.pin_tries == 4
    assert torn.puk in ("12345678", "87654321")
    # What was written first is new if anything after it is.
    changed = [
        getattr(torn, item) != getattr(before, item)
        for item in ("key", "certificate", "finger", "group", "discovery", "pins", "puk")
    ]
    assert changed == sorted(changed, reverse=True)
    reissue(card.power_on().transmit)  # and the card can be issued again
