"""Whatever ends a check, one finding tells it, and quotes no file."""

import pytest

from sdbox_agent.errors import DecodeError, Fault
from sdbox_agent.provision.doctor.hindrance import NotRunningError, hindered
from sdbox_agent.state.trusted import FileRefused

WRONG = FileRefused("profile-invalid", "x.toml", 3, "name: unknown key")


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        ("swap", NotRunningError(), ("skipped", "not-running", "")),
        ("state", PermissionError(13, "no", "state.json"), ("skipped", "needs-root", "")),
        ("reader", WRONG, ("skipped", "needs-settings", "")),
        ("profile", WRONG, ("failed", "profile-invalid", "x.toml:3: name: unknown key")),
        ("walls", Fault("walls-missing"), ("failed", "walls-missing", "")),
        ("files", OSError(5, "I/O error", "/etc/sdbox"), ("failed", "not-readable", "/etc/sdbox")),
        ("sensor", OSError("devnum: no number"), ("failed", "not-readable", "devnum: no number")),
        ("swap", DecodeError("mountinfo: a line"), ("failed", "not-readable", "mountinfo: a line")),
        ("anchors", ValueError("-----BEGIN PRIVATE"), ("failed", "not-readable", "ValueError")),
        ("files", RecursionError(), ("failed", "not-readable", "RecursionError")),
    ],
)  # fmt: skip
def test_what_ended_a_check_is_told(name: str, error: Exception, told: tuple[str, ...]) -> None:
    found = hindered(name, error)
    assert (found.check, found.result, found.code or found.reason, found.detail) == (name, *told)
