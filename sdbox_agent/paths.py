"""Where everything lies, from one root: `/` on a box, a directory of its own in the rig."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Paths:
    """Every path a process of ours opens. Directories are made by systemd, or by what plays it."""

    root: Path

    @property
    def config(self) -> Path:
        """Read-only settings: box.toml, anchors, profiles."""
        return self.root / "etc/sdbox"

    @property
    def profile_set(self) -> Path:
        """The profiles that were installed after the program, checked as a whole."""
        return self.config / "profile-set"

    @property
    def rig_mark(self) -> Path:
        """Where virtual parts stand in for real ones though the root is `/`. In no package."""
        return self.config / "rig"

    @property
    def usb_rules(self) -> Path:
        """Made of this box's profile: after 70 and 71 of the package, which give nodes away."""
        return self.root / "etc/udev/rules.d/72-sdbox-usb.rules"

    @property
    def state(self) -> Path:
        """The core's own directory (StateDirectory=sdbox, mode 0700)."""
        return self.root / "var/lib/sdbox"

    @property
    def tpm(self) -> Path:
        """The security chip, by the kernel's resource manager."""
        return self.root / "dev/tpmrm0"

    @property
    def agent_socket(self) -> Path:
        """The local socket: status, panel, CLI."""
        return self.root / "run/sdbox/agent.sock"

    @property
    def card_socket(self) -> Path:
        """Core to card worker."""
        return self.root / "run/sdbox-card/core.sock"

    @property
    def unwrap_socket(self) -> Path:
        """Finger process to card worker, direct: the core never sees what passes here."""
        return self.root / "run/sdbox-card/finger.sock"

    @property
    def pin_socket(self) -> Path:
        """Prompt process to card worker, direct: the core never sees a PIN."""
        return self.root / "run/sdbox-card/pin.sock"

    @property
    def crls(self) -> Path:
        """The revocation lists the core goes by, for `card check` (in its runtime directory)."""
        return self.root / "run/sdbox/crls"

    @property
    def finger_socket(self) -> Path:
        """Core to finger process; each connection starts a process of its own."""
        return self.root / "run/sdbox-finger/core.sock"

    @property
    def tunnel_socket(self) -> Path:
        """Core to tunnel helper."""
        return self.root / "run/sdbox-tunnel/core.sock"

    @property
    def tunnel_runtime(self) -> Path:
        """The tunnel helper's runtime directory: wireguard-go's control socket."""
        return self.root / "run/sdbox-tunnel"

    @property
    def carrier_socket(self) -> Path:
        """Tunnel helper to carrier; each connection starts a process of its own."""
        return self.root / "run/sdbox-carrier/tunnel.sock"
