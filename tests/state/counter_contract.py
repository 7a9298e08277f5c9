"""What any Counter does. A test calls it with one that has just been made."""

from collections.abc import Callable

from sdbox_agent.state.counter import Counter


def holds(counter: Counter, power_cycle: Callable[[], Counter]) -> None:
    """`power_cycle` cuts its power, and gives it back."""
    first = counter.value()
    assert counter.value() == first  # asking takes no step
    assert counter.advance() == first + 1
    assert counter.value() == first + 1
    again = power_cycle()
    assert again.value() == first + 1
    assert again.advance() == first + 2
