"""Two keys, a certificate on each; what was lost or is not right is asked for again, with sense."""

import datetime as dt

import pytest

from sdbox_agent.errors import Fault, Refused
from sdbox_agent.provision.setup import step
from sdbox_agent.provision.setup.enrolling import Certified, Keyed
from sdbox_agent.provision.setup.keymaking import FileKeys
from sdbox_agent.provision.setup.places import ACTIVATED
from sdbox_agent.provision.setup.step import Result
from sdbox_agent.provision.setup.tree import put, read
from sdbox_centre import authority
from tests.provision.setup.disk import ModelTree
from tests.provision.setup.machine_double import PLACES
from tests.provision.setup.people import NOW, IssuingCentre, answers

YEAR = dt.timedelta(days=366)


def steps(tree: ModelTree, centre: IssuingCentre, now: dt.datetime = NOW) -> list[step.Step]:
    keyed = Keyed(tree, PLACES, FileKeys(authority.new_key))
    return [keyed, Certified(tree, PLACES, keyed, answers(), centre, now)]


def run(tree: ModelTree, centre: IssuingCentre, now: dt.datetime = NOW) -> list[str]:
    told = step.run(steps(tree, centre, now), dry=False)
    return [one.code or one.result.value for one in told]


def identity(tree: ModelTree) -> dict[str, bytes]:
    return tree.contents()["etc/sdbox/identity"]


def test_keys_then_certificates_and_nothing_twice() -> None:
    tree, centre = ModelTree(), IssuingCentre()
    assert run(tree, centre) == ["done", "done"]
    before = dict(identity(tree))
    assert set(before) == {"tls.key", "tls.pem", "statement.key", "statement.pem"}
    assert run(tree, centre) == ["already-so", "already-so"]
    assert identity(tree) == before


def test_a_key_that_can_not_be_read_is_made_anew_before_the_token_is_spent() -> None:
    tree, centre = ModelTree(), IssuingCentre()
    put(tree, PLACES.identity, "tls.key", b"no key")
    assert run(tree, centre) == ["done", "done"]


def test_a_key_lost_after_the_token_was_spent_is_told() -> None:
    tree, centre = ModelTree(), IssuingCentre()
    run(tree, centre)
    tree.remove(PLACES.identity, "tls.key")
    assert run(tree, centre) == ["done", "box-token-spent"]


def test_a_certificate_that_is_lost_or_another_s_is_asked_for_again() -> None:
    tree, centre = ModelTree(), IssuingCentre()
    run(tree, centre)
    mine = dict(identity(tree))
    for wrong in (b"no", mine["statement.pem"]):
        put(tree, PLACES.identity, "tls.pem", wrong)
        assert run(tree, centre) == ["already-so", "done"]
        assert identity(tree) == mine


def test_one_that_has_ended_is_not_taken_for_one() -> None:
    tree, centre = ModelTree(), IssuingCentre()
    run(tree, centre)
    assert not steps(tree, centre, NOW + YEAR)[1].holds()


def test_a_box_in_service_never_gets_other_keys() -> None:
    tree, centre = ModelTree(), IssuingCentre()
    run(tree, centre)
    put(tree, PLACES.config, ACTIVATED, b"")
    assert steps(tree, centre, NOW + YEAR)[1].holds(), "it renews by itself"
    tree.remove(PLACES.identity, "tls.key")
    with pytest.raises(Refused, match="box-keys-lost"):
        steps(tree, centre)[0].holds()


def test_without_keys_there_is_nothing_to_certify_or_show() -> None:
    tree, centre = ModelTree(), IssuingCentre()
    keyed, certified = steps(tree, centre)
    assert not certified.holds()
    with pytest.raises(Fault, match="box-identity-missing"):
        certified.act()
    assert isinstance(keyed, Keyed)
    with pytest.raises(Fault, match="box-identity-missing"):
        keyed.shown()


def test_the_centre_s_refusal_is_told_and_the_keys_stay() -> None:
    tree, centre = ModelTree(), IssuingCentre()
    centre.away = Fault("centre-unreachable")
    assert run(tree, centre) == ["done", "centre-unreachable"]
    key = read(tree, PLACES.identity, "tls.key")
    centre.away = None
    assert run(tree, centre) == ["already-so", Result.DONE.value]
    assert read(tree, PLACES.identity, "tls.key") == key
