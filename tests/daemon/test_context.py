"""Which session it is, what time it is, and where failures go."""

import pytest

from sdbox_agent.errors import Fault, Refused
from sdbox_agent.session import events as on
from sdbox_agent.session import states as at
from tests.daemon.parts import UTC_S, Bench, N


@pytest.mark.parametrize(
    "state",
    [
        at.Checking(at.Session(N, 1, 0)),
        at.Idle(N),
        at.Spent(N, "card-removed", frozenset()),
        at.Closing(N, "card-removed", frozenset(), 1),
        at.Broken(N, "card-removed", frozenset()),
    ],
)
def test_the_session_that_is_or_was_last(state: at.State) -> None:
    bench = Bench()
    bench.state = state
    assert bench.context.n == N
    assert bench.context.session(N) == "boot-7"


def test_the_clock_is_never_before_one_the_centre_told(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    for wall_s, judged_s in ((0, UTC_S), (UTC_S - 1, UTC_S), (UTC_S + 5, UTC_S + 5)):
        monkeypatch.setattr("time.clock_gettime", lambda _, wall_s=wall_s: float(wall_s))
        assert bench.context.utc_s() == bench.context.known_utc_s() == judged_s


def test_before_the_first_hello_there_is_no_time_to_judge_by() -> None:
    bench = Bench(clock_set=False)
    with pytest.raises(Fault, match="clock-unset"):
        bench.context.utc_s()
    assert bench.context.known_utc_s() is None


@pytest.mark.parametrize(
    ("error", "code"), [(Refused("card-revoked"), "card-revoked"), (KeyError("x"), "unforeseen")]
)
def test_what_goes_wrong_with_an_answer_goes_wrong_with_its_session(
    error: Exception, code: str
) -> None:
    bench = Bench()

    def wrong() -> None:
        raise error

    bench.context.guard(3, wrong)
    assert bench.fed == [on.Failed(3, code)]


def test_a_lost_part_fails_the_session_that_stands_on_it() -> None:
    bench = Bench()
    bench.context.lost("tunnel-worker-died")
    assert bench.fed == [on.Failed(N, "tunnel-worker-died")]
