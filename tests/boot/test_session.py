"""One whole session in a booted box, and what its journal says of it afterwards."""

from hil.scenarios import session
from sdbox_agent.notify import Event
from tests.boot.bench import Bench
from tests.waiting import until


def test_a_session_from_card_to_card(bench: Bench) -> None:
    watch = bench.watch()
    seen = bench.enter(watch)
    assert (seen.project, seen.level) == ("p-beta", "host-match")
    assert seen.handshake_ms is not None
    assert seen.vm_ms is not None
    assert bench.rig.residue() != [], "there is a tunnel"
    helper = bench.machine.show("sdbox-tunnel.service")
    ended = session.leave(bench.rig, watch)
    assert ended.code == "card-removed"
    assert bench.rig.residue() == []
    assert bench.machine.show("sdbox-tunnel.service")["MainPID"] == helper["MainPID"]
    bench.rig.oracle.ask()
    watch.close()


def test_the_finger_process_of_a_session_is_gone_with_it(bench: Bench) -> None:
    def instances() -> list[str]:
        words = ("systemctl", "list-units", "--plain", "--no-legend", "--all", "sdbox-finger@*")
        return bench.machine.run(*words).split("\n")[:-1]

    until(lambda: len(instances()) <= 1)  # the next one waits warm


def test_the_journal_explains_what_happened(bench: Bench) -> None:
    for event, explained in (
        (Event.STARTED, "The box watches for cards. Nothing to do."),
        (Event.SESSION_OPENED, "is open, at level host-match."),
    ):
        said = bench.machine.run(
            "journalctl", "--boot", "-x", "--no-pager", f"MESSAGE_ID={event.value}"
        )
        assert explained in said
        assert "Subject: " in said
