"""Report, first record, units, and being put into service: by staff, with all it takes."""

import pytest
from msgspec.structs import replace

from sdbox_agent.centre import wire
from sdbox_agent.errors import Fault
from sdbox_agent.identity import place
from sdbox_agent.provision.doctor.parts import STARTED_AT_BOOT
from sdbox_agent.provision.setup import step
from sdbox_agent.provision.setup.places import ACTIVATED, REPORTED
from sdbox_agent.provision.setup.service import ASKED_EVERY_S, Started, hindrance
from sdbox_agent.provision.setup.step import Result
from sdbox_agent.provision.setup.tree import put, read
from sdbox_agent.state import record
from tests.provision.setup.disk import ModelTree
from tests.provision.setup.machine_double import MEASURED, PLACES, Bench, FakeSystem
from tests.provision.setup.people import IssuingCentre, answers, standing
from tests.provision.setup.test_fitness import SWAP

ORDERED = standing("ordered", voucher=False, placed=False)
ACTIVE = standing("active")


def last(bench: Bench, tree: ModelTree, given=None) -> step.Told:
    *_, told = step.run(bench.setup(tree, given), dry=False)
    return told


def in_service(tree: ModelTree) -> bool:
    return read(tree, PLACES.config, ACTIVATED) is not None


def test_staff_are_waited_for_and_each_reason_is_told_once() -> None:
    bench, tree = Bench(IssuingCentre(ORDERED, ORDERED, ORDERED, ACTIVE)), ModelTree()
    assert last(bench, tree).note == "activated"
    assert bench.told == ["activation-awaited"]
    assert bench.waits == 2 * ASKED_EVERY_S
    assert in_service(tree)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (ORDERED, "activation-awaited"),
        (standing("active", voucher=False), "voucher-missing"),
        (standing("active", placed=False), "box-not-placed"),
        (standing("suspended"), "box-suspended"),
        (standing("retired"), "box-retired"),
    ],
)
def test_a_box_is_not_in_service_without_all_of_it(said, code: str) -> None:
    bench, tree = Bench(IssuingCentre(said)), ModelTree()
    assert last(bench, tree).code == code
    assert not in_service(tree)
    bench.centre.standings = [ACTIVE]
    bench.waits = 0
    assert last(bench, tree).result is Result.DONE, "and is gone on with"


def test_a_centre_that_is_away_for_a_while_ends_no_waiting() -> None:
    away = (Fault("centre-busy"), Fault("centre-unreachable"))
    bench, tree = Bench(IssuingCentre(ORDERED, ORDERED, *away, ORDERED, ACTIVE)), ModelTree()
    assert last(bench, tree).note == "activated"
    assert bench.told == [
        *("activation-awaited", "centre-busy", "centre-unreachable", "activation-awaited")
    ]


def test_a_centre_that_stays_away_or_answers_nonsense_ends_it() -> None:
    for code, waited in (("centre-slow", True), ("centre-answer-invalid", False)):
        bench, tree = Bench(IssuingCentre(ORDERED, Fault(code))), ModelTree()
        assert last(bench, tree).code == code
        assert (bench.waits > 0) is waited
        assert not in_service(tree)


def test_what_bars_a_box_for_good_is_not_waited_for() -> None:
    bench, tree = Bench(IssuingCentre(standing("retired"))), ModelTree()
    last(bench, tree)
    assert (bench.waits, bench.told) == (0, [])


def test_answers_without_a_host_activate_nothing_whatever_the_centre_says() -> None:
    bench, tree = Bench(), ModelTree()
    told = last(bench, tree, bench.given(answers(hosting=None)))
    assert (told.step, told.code) == ("activation", "voucher-missing")
    assert not in_service(tree)


@pytest.mark.parametrize("settled", [True, False])
def test_the_machine_must_be_fit_when_it_is_activated_too(*, settled: bool) -> None:
    bench, tree = Bench(), ModelTree()
    *_, activated = bench.setup(tree)
    for one in bench.setup(tree)[:-1]:
        if not one.holds():
            one.act()
    bench.findings = (SWAP,)
    bench.system.settlements = int(settled)  # it is on again, as the kernel says, too
    with pytest.raises(Fault, match="box-not-fit"):
        activated.act()
    assert not in_service(tree)


def test_the_keys_are_shown_to_be_read_out_and_a_report_is_made_once() -> None:
    bench, tree = Bench(IssuingCentre(ORDERED)), ModelTree()
    told = [one for one in step.run(bench.setup(tree), dry=False) if one.step == "report"]
    assert (told[0].note, told[0].detail) == ("read-out", bench.centre.reports[0].keys)
    again = {one.step: one.result for one in step.run(bench.setup(tree), dry=False)}
    assert again["report"] is Result.SO


def test_the_network_is_measured_as_it_is_first_reported_and_told_with_every_report() -> None:
    bench, tree = Bench(IssuingCentre(ORDERED, ORDERED, ACTIVE)), ModelTree()
    last(bench, tree)
    assert [one.network for one in bench.centre.reports] == [(MEASURED[0],)] * 3
    assert len(bench.measured) == len(MEASURED) - 1


def test_what_has_changed_is_measured_anew_and_what_is_measured_is_no_change() -> None:
    bench, tree = Bench(IssuingCentre(ORDERED)), ModelTree()
    last(bench, tree)
    last(bench, tree)
    assert {one.network for one in bench.centre.reports} == {(MEASURED[0],)}
    put(tree, PLACES.config, REPORTED, wire.encode(replace(bench.centre.reports[-1], tpm=True)))
    last(bench, tree)
    assert bench.centre.reports[-1].network == (MEASURED[1],)


@pytest.mark.parametrize("rest", [b"", b"0" * 64, b"{}"])
def test_a_report_that_can_not_be_read_is_made_again(rest: bytes) -> None:
    bench, tree = Bench(IssuingCentre(ORDERED)), ModelTree()
    last(bench, tree)
    put(tree, PLACES.config, REPORTED, rest)
    again = {one.step: one.result for one in step.run(bench.setup(tree), dry=False)}
    assert again["report"] is Result.DONE
    assert read(tree, PLACES.config, REPORTED) == wire.encode(bench.centre.reports[-1])


def test_the_first_record_is_whole_and_never_made_twice() -> None:
    bench, tree = Bench(), ModelTree()
    last(bench, tree)
    data = read(tree, PLACES.state, "state.json")
    assert data is not None
    known = place.remember({}, bytes(32))
    assert record.decode(data) == record.State(generation=1, known=known)
    tree.remove(PLACES.state, "state.json")
    assert last(bench, tree).code == "state-damaged"
    assert read(tree, PLACES.state, "state.json") is None


def test_units_that_do_not_come_up_end_it() -> None:
    bench, tree = Bench(), ModelTree()
    bench.system.fails = True
    told = last(bench, tree)
    assert (told.step, told.code) == ("units", "unit-failed")


@pytest.mark.parametrize("running", [True, False])
def test_a_disk_that_does_not_run_is_told(*, running: bool) -> None:
    started = Started(FakeSystem(running=running))
    assert started.act().name == ("" if running else "not-running")
    assert started.holds()
    assert FakeSystem(on=set(STARTED_AT_BOOT)).enabled(STARTED_AT_BOOT)


def test_an_active_box_with_everything_is_hindered_by_nothing() -> None:
    assert hindrance(ACTIVE) is None
