import datetime as dt

import pytest
from cryptography import x509

from sdbox_agent.errors import Refused, SdboxError
from sdbox_centre import cardrules
from tests.sdbox_centre import world as w
from tests.sdbox_centre.world import World


def ask(world: World, rules: cardrules.CardRules, after_s: int = 0) -> None:
    three = world.card.certificates
    now_s = world.clock.utc + after_s
    rules.check(three.auth, three.key_management, three.card_auth, now_s)


def test_a_yes_is_kept_and_a_revocation_is_seen_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules, calls = world.rules(), []
    real = cardrules.path.validate_card
    monkeypatch.setattr(cardrules.path, "validate_card", lambda *a: calls.append(1) or real(*a))
    for after_s in (0, 30, 299):
        ask(world, rules, after_s)
    assert len(calls) == 1
    ask(world, rules, 300)
    ask(world, rules, -1)  # a clock that went back asks again
    assert len(calls) == 3
    serial = x509.load_der_x509_certificate(world.card.certificates.auth).serial_number
    world.publish_crl(serial)
    for _ in range(2):
        with pytest.raises(Refused, match="card-revoked"):
            ask(world, rules)
    assert len(calls) == 5  # a "no" is not kept


def test_a_yes_says_whether_a_pin_opens_the_card(world: World) -> None:
    rules = world.rules()
    for number, bound in ((1, False), (2, True)):
        three = w.make_card(world.cards, number, world.now, match_bound=bound).certificates
        for _ in range(2):  # found, then kept
            said = rules.check(three.auth, three.key_management, three.card_auth, world.clock.utc)
            assert said.match_bound is bound


def test_a_yes_ends_with_the_card(world: World) -> None:
    end = x509.load_der_x509_certificate(world.card.certificates.auth).not_valid_after_utc
    left_s = int(end.timestamp()) - world.clock.utc
    world.now = end - dt.timedelta(seconds=10)
    world.publish_crl()
    rules = world.rules()
    ask(world, rules, left_s - 5)
    with pytest.raises(Refused, match="card-expired"):
        ask(world, rules, left_s + 1)


def test_a_yes_ends_with_the_list(world: World) -> None:
    now = world.now
    soon = now + dt.timedelta(seconds=20)
    (world.root / "cards.crl").write_bytes(world.cards.crl(9, now, {}, soon))
    rules = world.rules()
    ask(world, rules)
    with pytest.raises(SdboxError, match="crl-stale"):
        ask(world, rules, 21)


def test_a_list_that_is_absent_malformed_or_of_another_is_a_fault(world: World) -> None:
    path = world.root / "cards.crl"
    for content, code in (
        (b"nonsense", "crl-invalid"),
        (world.boxes.crl(9, world.now), "crl-invalid"),
        (None, "crl-stale"),
    ):
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
        with pytest.raises(SdboxError, match=code) as caught:
            ask(world, world.rules())
        assert str(path) in str(caught.value.__cause__)


def test_a_list_that_went_back_is_refused_by_its_own_authority_s_count(world: World) -> None:
    """A successor of the same name begins anew, and leaves the other's count alone."""
    successor = w.authority.authority("Test Card Authority", world.now)
    anchors = w.authority.pem_of(world.cards.certificate, successor.certificate)
    (world.root / "both.pem").write_bytes(anchors)
    paths = world.root / "cards.crl", world.root / "new.crl"
    rules = cardrules.CardRules(world.root / "both.pem", paths)

    def publish(old: int, new: int) -> None:
        paths[0].write_bytes(world.cards.crl(old, world.now))
        paths[1].write_bytes(successor.crl(new, world.now))

    publish(9, 1)
    ask(world, rules)
    later = w.make_card(successor, 3, world.now).certificates
    rules.check(later.auth, later.key_management, later.card_auth, world.clock.utc)
    publish(9, 2)
    ask(world, rules)
    for old, new in ((8, 2), (9, 1)):
        publish(old, new)
        with pytest.raises(SdboxError, match="crl-invalid"):
            ask(world, rules)


def test_boxes_are_given_the_enrolment_authorities_lists_while_they_are_good(world: World) -> None:
    desks = w.authority.authority("Test Desk Authority", world.now)
    (world.root / "desks.pem").write_bytes(w.authority.pem_of(desks.certificate))
    path, rules, now_s = world.root / "desks.crl", world.rules(), world.clock.utc
    lists = cardrules.Lists(world.root / "desks.pem", [path])
    own = rules.crls(now_s)
    assert cardrules.served(rules, None, now_s) == own
    assert cardrules.served(rules, lists, now_s) == own, "not there yet"
    good = desks.crl(4, world.now)
    path.write_bytes(good)
    assert cardrules.served(rules, lists, now_s) == (*own, good)
    assert cardrules.served(rules, lists, now_s + 8 * 86400) == own, "over"
    for bad in (desks.crl(3, world.now), world.cards.crl(9, world.now), b"nonsense"):
        path.write_bytes(bad)
        assert cardrules.served(rules, lists, now_s) == own
    (world.root / "cards.crl").write_bytes(b"nonsense")
    with pytest.raises(SdboxError, match="crl-invalid"):
        cardrules.served(rules, lists, now_s)


def test_cards_of_a_test_authority_are_for_a_centre_of_tests(world: World) -> None:
    issuer = w.authority.authority("Test Card Authority", world.now, test=True)
    (world.root / "test.pem").write_bytes(w.authority.pem_of(issuer.certificate))
    (world.root / "test.crl").write_bytes(issuer.crl(1, world.now))
    files = world.root / "test.pem", [world.root / "test.crl"]
    three = w.make_card(issuer, 3, world.now).certificates
    shown = three.auth, three.key_management, three.card_auth
    cardrules.CardRules(*files, test_issuers=True).check(*shown, world.clock.utc)
    with pytest.raises(Refused, match="card-test-issuer"):
        cardrules.CardRules(*files).check(*shown, world.clock.utc)


def test_certificates_of_two_cards_are_no_card(world: World) -> None:
    other = w.make_card(world.cards, 2, world.now).certificates
    mine = world.card.certificates
    with pytest.raises(Refused, match="card-untrusted"):
        world.rules().check(mine.auth, other.key_management, mine.card_auth, world.clock.utc)
    with pytest.raises(Refused, match="card-data-invalid"):
        world.rules().check(b"x", mine.key_management, mine.card_auth, world.clock.utc)
