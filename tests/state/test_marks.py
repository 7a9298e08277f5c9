"""Marks go up, durably, and never down."""

import itertools

import pytest

from sdbox_agent.errors import Fault, Refused
from sdbox_agent.state import store
from sdbox_agent.state.marks import CLOCK_STEP_S, MAX_ISSUERS, Marks
from sdbox_agent.state.model import ModelFileSystem, PowerCut

NOW = 1_700_000_000
ISSUER = b"\x07" * 32


def fresh() -> tuple[ModelFileSystem, Marks]:
    disk = ModelFileSystem()
    return disk, Marks(store.create(disk))


def test_each_boot_is_counted_once_even_through_a_cut() -> None:
    for cut_at in itertools.count():
        disk, marks = fresh()
        marks.boot()
        disk.cut_at = disk.calls + cut_at
        try:
            marks.boot()
        except PowerCut:
            for after in disk.after_cut():
                assert Marks(store.load(after)).boot() in {2, 3}
        else:
            disk.cut_at = None
            break
    assert Marks(store.load(disk)).boot() == 3


def test_lower_versions_are_refused_also_after_a_restart() -> None:
    disk, marks = fresh()
    marks.hello(utc_s=NOW, wire=2, policy_version=7)
    for again in (marks, Marks(store.load(disk))):
        with pytest.raises(Refused, match=r"^wire-unsupported$"):
            again.hello(utc_s=NOW, wire=1, policy_version=8)
        with pytest.raises(Fault, match=r"^centre-answer-invalid$"):
            again.hello(utc_s=NOW, wire=2, policy_version=6)
        again.hello(utc_s=NOW, wire=2, policy_version=7)


def test_the_clock_never_goes_back_and_a_wild_system_clock_only_counts_forward() -> None:
    disk, marks = fresh()
    with pytest.raises(Fault, match=r"^clock-unset$"):
        marks.trusted_utc_s(NOW)
    marks.hello(utc_s=NOW, wire=1, policy_version=1)
    marks.hello(utc_s=NOW - 1000, wire=1, policy_version=1)
    assert marks.trusted_utc_s(0) == NOW
    assert marks.trusted_utc_s(NOW + 5) == NOW + 5
    assert Marks(store.load(disk)).trusted_utc_s(0) == NOW


def test_a_hello_that_says_nothing_new_writes_nothing() -> None:
    disk, marks = fresh()
    marks.hello(utc_s=NOW, wire=1, policy_version=1)
    calls = disk.calls
    marks.hello(utc_s=NOW + CLOCK_STEP_S - 1, wire=1, policy_version=1)
    assert disk.calls == calls
    assert marks.trusted_utc_s(0) == NOW + CLOCK_STEP_S - 1
    marks.hello(utc_s=NOW + CLOCK_STEP_S, wire=1, policy_version=1)
    assert disk.calls > calls


def test_an_older_crl_is_refused_for_its_own_issuer_only() -> None:
    disk, marks = fresh()
    marks.crl(ISSUER, 5)
    marks.crl(ISSUER, 5)
    marks.crl(b"\x08" * 32, 1)
    for again in (marks, Marks(store.load(disk))):
        for number in (4, 2**53):
            with pytest.raises(Fault, match=r"^crl-invalid$"):
                again.crl(ISSUER, number)
    marks.crl(ISSUER, 6)


def test_issuers_are_bounded() -> None:
    _, marks = fresh()
    for n in range(MAX_ISSUERS):
        marks.crl(bytes([n]) * 32, 1)
    with pytest.raises(Fault, match=r"^crl-invalid$"):
        marks.crl(b"\xff" * 32, 1)


def test_an_issuer_is_named_by_a_digest() -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        fresh()[1].crl(b"short", 1)


def test_settings_with_a_lower_serial_are_refused_also_after_a_restart() -> None:
    disk, marks = fresh()
    marks.settings(0)  # a box whose settings bear no number
    marks.settings(3)
    marks.settings(3)
    for again in (marks, Marks(store.load(disk))):
        with pytest.raises(Fault, match=r"^settings-rolled-back$"):
            again.settings(2)
    marks.settings(4)
