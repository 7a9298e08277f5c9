"""A box as it is booted: Debian, the package, systemd; in a container of our own making.

    make hil-boot        python -m hil.boot [PYTEST ARGUMENT ...]

systemd-nspawn on this machine's kernel: every unit runs as on a box, under the real manager, with
the confinement it has there. Its only cable goes to the rig's centre, and the rig's oracle judges
what leaves it. Card and finger are the rig's, and the root is marked as such (`etc/sdbox/rig`).
What a container has not: a udevd, a kernel of its own (`make hil-vm` has both).
"""
