"""Commands of the system's: what they end with, and that they end."""

import pytest

from sdbox_agent.errors import Fault
from sdbox_agent.provision.setup import command


@pytest.mark.parametrize(
    "argv", [("/bin/false",), ("/nonexistent",)], ids=["fails", "is not there"]
)
def test_what_does_not_obey_is_told(argv: tuple[str, ...]) -> None:
    with pytest.raises(Fault, match="unit-failed"):
        command.run(*argv)
    command.run("/bin/true")


def test_what_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "COMMAND_S", 0.05)
    with pytest.raises(Fault, match="unit-failed"):
        command.run("/bin/sleep", "60")
