"""A successor is believed by the old authority's word, whoever hands it over."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.errors import DecodeError
from sdbox_agent.pki import successors
from sdbox_centre import authority
from tests.pki import boxed, grown

SINCE = grown.NOW - grown.DAY
OLD = authority.authority("Test Old Authority", SINCE, path_length=1)
NEW = authority.authority("Test New Authority", SINCE, path_length=1)
NEXT = authority.authority("Test Next Authority", SINCE, path_length=1)


def crossed(new: authority.Authority, by: authority.Authority, name: str = "") -> bytes:
    said = name or new.certificate.subject.rfc4514_string().removeprefix("CN=")
    return by.subordinate(said, grown.NOW, key=new.key).certificate_der


NEW_BY_OLD, NEXT_BY_NEW = crossed(NEW, OLD), crossed(NEXT, NEW)


def proven(*offered: bytes):
    return successors.proven([OLD.certificate], offered)


def test_one_that_the_old_one_certified_is_believed() -> None:
    assert proven(NEW_BY_OLD, NEW.certificate_der) == (NEW.certificate,)
    assert proven(NEW.certificate_der, OLD.certificate_der, NEW_BY_OLD) == (NEW.certificate,)


def test_so_is_one_that_a_believed_one_certified() -> None:
    offered = (NEXT.certificate_der, NEXT_BY_NEW, NEW.certificate_der, NEW_BY_OLD)
    assert set(proven(*offered)) == {NEW.certificate, NEXT.certificate}


@pytest.mark.parametrize(
    "offered",
    [
        (),
        (NEW.certificate_der,),  # nobody's word
        (NEW_BY_OLD,),  # a word about nothing
        (OLD.certificate_der,),
        (NEXT.certificate_der, NEXT_BY_NEW),  # one between is missing
        (NEXT.certificate_der, NEW_BY_OLD),  # a word about another
        (NEW.certificate_der, crossed(NEW, NEXT)),  # by somebody else
        (NEW.certificate_der, crossed(NEW, OLD, "Another Name")),
        (authority.der_of(boxed.issued(issuer=OLD)),),  # no authority
    ],
)
def test_nothing_else_is(offered: tuple[bytes, ...]) -> None:
    assert proven(*offered) == ()


def test_a_namesake_of_the_old_one_vouches_for_nobody() -> None:
    namesake = authority.authority("Test Old Authority", SINCE, path_length=1)
    assert proven(NEW.certificate_der, crossed(NEW, namesake)) == ()


def test_a_leaf_of_the_old_one_that_bears_the_new_key_is_no_word() -> None:
    leaf = OLD.issue(
        authority.BOX_TLS,
        authority.Subject("Test New Authority"),
        NEW.key.public_key(),
        SINCE,
    )
    assert proven(NEW.certificate_der, authority.der_of(leaf)) == ()


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=3))
def test_any_bytes_are_refused(offered: list[bytes]) -> None:
    with contextlib.suppress(DecodeError):
        assert successors.proven([OLD.certificate], offered) == ()
