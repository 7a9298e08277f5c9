"""A virtual machine with Debian's own kernel, for what this machine's kernel may lack: WireGuard.

    make hil-vm        python -m hil.vm [PYTEST ARGUMENT ...]

QEMU without acceleration (TCG: anywhere, and slow), no network. Its clock counts the instructions
of its one processor, and jumps where that would wait: a deadline in it means the same however busy
the host is, and no test waits. The disk is a Debian of `packages` with the locked environment in
it; a second one, made anew each time, holds the code; on a third the machine leaves what came of
it. `init` is its first process and its last.
"""
