"""What was handed over stands in the record, by its hash and nothing else of it."""

import hashlib

import msgspec

from sdbox_agent.audit import outbox, record
from sdbox_agent.centre import wire
from tests.daemon.parts import Bench, N
from tests.session.explore import admitted


def written(bench: Bench) -> list[tuple[str, str | None, object]]:
    lines = bench.disk.contents()[outbox.NAME].splitlines()
    entries = [record.decode(line) for line in lines]
    assert all(entry.result == "ok" for entry in entries)
    return [(entry.code, entry.session, entry.sha256) for entry in entries]


def test_lists_are_written_down_each() -> None:
    bench = Bench()
    bench.received.lists(N, wire.CrlsAnswer(crls=(b"one", b"other")))
    assert written(bench) == [
        ("received-list", "boot-7", hashlib.sha256(handed).hexdigest())
        for handed in (b"one", b"other")
    ]


def test_policy_and_reference_are_written_down() -> None:
    bench = Bench()
    answer = msgspec.structs.replace(admitted(()), reference=b"sealed")
    bench.received.admitted(N, answer)
    policy = hashlib.sha256(wire.encode(answer.policy)).hexdigest()
    reference = hashlib.sha256(b"sealed").hexdigest()
    assert written(bench) == [
        ("received-policy", "boot-7", policy),
        ("received-reference", "boot-7", reference),
    ]


def test_where_there_is_no_reference_none_was_received() -> None:
    bench = Bench()
    bench.received.admitted(N, msgspec.structs.replace(admitted(()), reference=None))
    assert [code for code, _, _ in written(bench)] == ["received-policy"]
