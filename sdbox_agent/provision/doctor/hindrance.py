"""Why a check could not be made, as a finding. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sdbox_agent.errors import DecodeError, SdboxError
from sdbox_agent.provision.doctor.finding import failed, skipped
from sdbox_agent.state.trusted import FileRefused

if TYPE_CHECKING:
    from sdbox_agent.provision.doctor.finding import Finding

_OWNER: Final = {"config-invalid": "settings", "profile-invalid": "profile"}  # who tells it


class NotRunningError(Exception):
    """What is under this root does not run: no kernel can be asked."""


def hindered(name: str, error: Exception) -> Finding:
    """What is to be said of the check `name`, which `error` ended."""
    match error:
        case NotRunningError():
            return skipped(name, "not-running")
        case PermissionError():
            return skipped(name, "needs-root")
        case FileRefused() if _OWNER.get(error.code) != name:
            return skipped(name, "needs-settings")
        case SdboxError():
            return failed(name, code=error.code, detail=getattr(error, "diagnosis", ""))
        case _:
            pass
    detail = type(error).__name__
    if isinstance(error, OSError):
        detail = str(error.filename or error)
    elif isinstance(error, DecodeError):
        detail = str(error)
    return failed(name, code="not-readable", detail=detail)
