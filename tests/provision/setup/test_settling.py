"""Whose answers these are, which profile, what comes to lie in /etc/sdbox."""

import copy

import pytest

from sdbox_agent.errors import Fault, Refused
from sdbox_agent.profile import schema
from sdbox_agent.provision.setup import answers as answering
from sdbox_agent.provision.setup import step
from sdbox_agent.provision.setup.places import RETIRED
from sdbox_agent.provision.setup.settling import Chosen, held
from sdbox_agent.provision.setup.step import Result
from sdbox_agent.provision.setup.tree import put, read
from tests.provision.setup.disk import ModelTree
from tests.provision.setup.machine_double import MEMBER, PLACES, Bench, FakeProfiles, Given
from tests.provision.setup.people import ANCHOR, AUTHORITIES, answers, standing


def last(bench: Bench, tree: ModelTree, given: Given | None = None, **how) -> step.Told:
    *_, told = step.run(bench.setup(tree, given, **how), dry=False)
    return told


def test_settings_and_authorities_are_those_of_the_answers() -> None:
    bench, tree = Bench(), ModelTree()
    assert last(bench, tree).result is Result.DONE
    found = tree.contents()
    box = schema.parse_box(found["etc/sdbox"]["box.toml"])
    assert box == answering.box_of(answers(), "virtual")
    for name in ("centre", "cards", "desk", "boxes"):
        der = (AUTHORITIES[name].certificate_der,)
        assert found["etc/sdbox/anchors"][f"{name}.pem"] == answering.pem(der)
    assert set(found["etc/sdbox/anchors"]) == {
        "centre.pem", "cards.pem", "desk.pem", "boxes.pem", "staff.pem",
    }  # fmt: skip
    assert not any(b"T" * 43 in data for files in found.values() for data in files.values())


def test_the_first_run_needs_the_anchor_and_later_ones_have_it() -> None:
    bench, tree = Bench(), ModelTree()
    assert last(bench, tree, bench.given(typed=None)).code == "anchor-wanted"
    assert last(bench, tree, bench.given(typed=bytes(32))).code == "anchor-mismatch"
    assert tree.contents() == {}
    assert last(bench, tree).result is Result.DONE
    assert last(bench, tree, bench.given(typed=None)).result is Result.SO
    assert last(bench, tree, bench.given(typed=ANCHOR)).result is Result.SO
    assert last(bench, tree, bench.given(typed=bytes(32))).code == "anchor-mismatch"


def test_a_pinned_anchor_that_can_not_be_read_is_told() -> None:
    bench, tree = Bench(), ModelTree()
    put(tree, PLACES.anchors, "staff.pem", b"no")
    assert last(bench, tree).code == "config-invalid"


def test_a_machine_is_one_box() -> None:
    bench, tree = Bench(), ModelTree()
    last(bench, tree)
    before = copy.deepcopy(tree.contents())
    other = bench.given(answers(box="box-08"))
    assert last(bench, tree, other).code == "box-is-another"
    assert tree.contents() == before


def test_a_retirement_that_was_begun_is_finished_first() -> None:
    bench, tree = Bench(), ModelTree()
    put(tree, PLACES.config, RETIRED, b"told\n")
    assert last(bench, tree).code == "box-retiring"


@pytest.mark.parametrize("changed", [{"box": "box-08"}, {"until_s": answers().until_s + 1}])
def test_the_act_says_what_the_file_says(changed: dict[str, object]) -> None:
    bench, tree = Bench(), ModelTree()
    raw = answering.encode(answers())
    given = Given(raw, answers(), MEMBER.sign(raw, **changed), ANCHOR)
    assert last(bench, tree, given).code == "answers-unsigned"


def test_settings_that_can_not_be_read_are_written_anew() -> None:
    bench, tree = Bench(), ModelTree()
    put(tree, PLACES.config, "box.toml", b"v = ")
    assert held(tree, PLACES) is None
    assert last(bench, tree).result is Result.DONE
    assert held(tree, PLACES) is not None


def test_other_answers_for_the_same_box_change_it_until_it_is_in_service() -> None:
    bench, tree = Bench(), ModelTree()
    bench.centre.standings[0] = standing("ordered", voucher=False, placed=False)
    assert last(bench, tree).code == "activation-awaited"
    french = bench.given(answers(language="fr"))
    assert last(bench, tree, french).code == "activation-awaited"
    assert b'language = "fr"' in (read(tree, PLACES.config, "box.toml") or b"")


def test_older_answers_do_not_come_after_newer_ones() -> None:
    bench, tree = Bench(), ModelTree()
    bench.centre.standings[0] = standing("ordered", voucher=False, placed=False)
    newer, older = (bench.given(answers(serial=serial)) for serial in (2, 1))
    assert last(bench, tree, newer).code == "activation-awaited"
    before = copy.deepcopy(tree.contents())
    told = last(bench, tree, older)
    assert (told.step, told.code) == ("settings", "settings-rolled-back")
    assert tree.contents() == before
    assert schema.parse_box(before["etc/sdbox"]["box.toml"]).serial == 2
    assert last(bench, tree, bench.given(answers(serial=3))).code == "activation-awaited"
    assert b"serial = 3\n" in (read(tree, PLACES.config, "box.toml") or b"")


def test_of_a_box_in_service_nothing_is_undone() -> None:
    bench, tree = Bench(), ModelTree()
    last(bench, tree)
    put(tree, PLACES.anchors, "centre.pem", b"replaced since")
    before = copy.deepcopy(tree.contents())
    assert {told.result for told in step.run(bench.setup(tree), dry=False)} == {Result.SO}
    assert tree.contents() == before


@pytest.mark.parametrize(
    ("fits", "code"), [((), "no-profile-fits"), (("a", "b"), "profile-ambiguous")]
)
def test_a_profile_is_looked_for_and_must_be_the_only_one(fits: tuple[str, ...], code: str) -> None:
    one = answers(profile="detect")
    with pytest.raises(Fault, match=code):
        Chosen(ModelTree(), PLACES, one, FakeProfiles(fits)).profile()  # type: ignore[arg-type]
    assert Chosen(ModelTree(), PLACES, one, FakeProfiles(("a",))).profile() == "a"  # type: ignore[arg-type]


def test_a_profile_that_was_found_once_stays_whatever_is_plugged_in() -> None:
    bench, tree = Bench(), ModelTree()
    given = bench.given(answers(profile="detect"))
    assert last(bench, tree, given).result is Result.DONE
    bench.profiles.fits = ()
    assert last(bench, tree, given).result is Result.SO


def test_a_profile_that_no_box_can_have_ends_it() -> None:
    bench, tree = Bench(), ModelTree()
    bench.profiles.known = frozenset()
    assert last(bench, tree).code == "profile-invalid"
    assert "etc/sdbox" not in tree.contents()


def test_authorities_of_tests_make_no_box_in_the_field() -> None:
    bench, tree = Bench(), ModelTree()
    assert last(bench, tree, rig=False).code == "answers-unsigned"
    with pytest.raises(Refused, match="answers-unsigned"):
        bench.setup(tree, rig=False)[0].holds()
