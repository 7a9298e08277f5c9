import pytest

from sdbox_agent.errors import Refused
from sdbox_agent.terms import Level
from sdbox_centre.staff import Validity
from tests.sdbox_centre import world as w
from tests.sdbox_centre.world import World


def test_nothing_is_made_twice_or_of_what_is_not_there(world: World) -> None:
    staff = world.staff
    for act in (
        lambda: staff.add_holder("test-holder-01"),
        lambda: staff.add_card("test-holder-01", world.card.shown),
        lambda: staff.add_card("nobody", w.make_card(world.cards, 2, world.now).shown),
        lambda: staff.add_box("x", world.box.tls_der, b""),
        lambda: staff.add_project(w.PROJECT, "again", [Level.HOST_MATCH]),
        lambda: staff.grant("test-holder-01", w.PROJECT),
        lambda: staff.grant("test-holder-01", "none"),
        lambda: staff.add_enrolment("e2", world.card.name, b"s", Validity(0, 1)),  # one a card
        lambda: staff.add_enrolment("e2", bytes(32), b"s", Validity(0, 1)),
    ):
        with pytest.raises(Refused, match="request-invalid"):
            act()


def test_acts_on_what_is_not_there_are_refused(world: World) -> None:
    staff = world.staff
    for act in (
        lambda: staff.revoke_card(bytes(32), "m"),
        lambda: staff.unlock_card(bytes(32), "m"),
        lambda: staff.suspend_box("none", "m"),
        lambda: staff.resume_box("none", "m"),
        lambda: staff.withdraw("test-holder-01", "none", "m"),
        lambda: staff.close_project("none", "m"),
    ):
        with pytest.raises(Refused, match="not-found"):
            act()


def test_a_card_is_issued_anew_once_its_earlier_issue_is_revoked(world: World) -> None:
    """The same number in new certificates: never two of them at a time, nor for two holders."""
    world.staff.add_holder("test-holder-02")
    again = w.make_card(world.cards, 1, world.now)
    for holder in ("test-holder-01", "test-holder-02"):
        with pytest.raises(Refused, match="request-invalid"):
            world.staff.add_card(holder, again.shown)
    world.staff.revoke_card(world.card.name, "lost")
    world.staff.add_card("test-holder-01", again.shown)


def test_acts_that_end_sessions_say_which(world: World) -> None:
    w.session(world).to_open()
    key = f"{world.box.name}/{world.box.boot_id}-1"
    assert world.staff.close_project(w.PROJECT, "over") == [key]
    assert world.staff.suspend_box(world.box.name, "lost") == []  # it had ended already
    with world.store.begin() as tx:
        rows = tx.exec_driver_sql("SELECT act, motive FROM trace ORDER BY seq DESC LIMIT 3").all()
        ended = tx.exec_driver_sql("SELECT state, code FROM sessions").one()
    assert [tuple(row) for row in rows] == [
        ("suspend-box", "lost"),
        ("end", None),
        ("close-project", "over"),
    ]
    assert tuple(ended) == ("ended", "project-closed")


def test_unlocking_makes_attempts_whole_and_revives_nothing(world: World) -> None:
    with world.store.begin() as tx:
        tx.exec_driver_sql("UPDATE cards SET failures = 10")
    world.staff.revoke_card(world.card.name, "lost")
    world.staff.unlock_card(world.card.name, "test")
    one = w.session(world)
    one.hello()
    with pytest.raises(Refused, match="card-revoked"):
        one.prove()
