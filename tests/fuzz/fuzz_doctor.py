"""What doctor reads of kernel, systemd and files: a finding, or DecodeError."""

import contextlib
import datetime as dt

from sdbox_agent.errors import DecodeError
from sdbox_agent.provision.doctor import certificates, disk, memory, parts
from tests.certificates import make

PARSERS = (
    memory,
    disk.mount_of,
    disk._mount,
    parts.users,
    parts._numbers,
    parts.has_module,
    certificates.parse,
)
SEEDS: list[bytes] = [
    b"Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2\n",
    b"# none\n/dev/sda2 none swap sw 0 0\n",
    b"freeze mem disk\n",
    b"|/lib/systemd/systemd-coredump %P\n",
    b"|/bin/false\n",
    b"Max core file size        0                    0             bytes\n",
    b"[Journal]\n#Storage=none\nStorage=volatile\nRuntimeMaxUse=64M\nSystemMaxUse=500M\n",
    b"[Journal]\nSystemMaxUse=500M\n",
    b"[Journal]\nStorage=none\n[Coredump]\nStorage=none\nProcessSizeMax=0\n",
    b"quiet init_on_free=1 init_on_free=off\n",
    b"CONFIG_INIT_ON_FREE_DEFAULT_ON=y\n",
    b"22 1 254:0 / / rw shared:1 - ext4 /dev/vda rw\n23 22 0:40 / /var\\040x rw - tmpfs t rw\n",
    b"22 1 254:0 / / rw\n",
    b"23 22 0:40 / /other rw - tmpfs t rw\n",
    b"",
    b"sdbox:x:61001:61001::/:/bin/false\n",
    b"kernel/net/wireguard/wireguard.ko.xz: kernel/lib/x.ko\n",
    make("seed", dt.datetime(2026, 1, 1, tzinfo=dt.UTC), 1).pem,
    b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
]


def target(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    memory.swap(text, text, ())
    memory.hibernation(text)
    memory.core_dumps(text, text, memory.settings((text,), "Coredump"))
    memory.journal(memory.settings((text, text), "Journal"))
    memory.freed_memory(text, text)
    with contextlib.suppress(DecodeError):
        mount = disk.mount_of("/var/lib/sdbox", text)
        disk.data_partition(mount, (text,), "refuse")
    parts.users(text, text)
    parts.has_module("wireguard", text)
    with contextlib.suppress(DecodeError):
        assert certificates.parse(data)
