"""A whole box in a virtual machine: the package on Debian, its units, its own kernel, its own USB.

    make hil-vm TESTS=--box        python -m hil.vm --box

Nothing of the rig is in it but a root shell at a virtio port, a way for images to libfprint's
virtual sensor, and what makes of it a box of this rig (`seed`). Card, finger, centre and gateway
stay outside: what the machine's memory holds is the box's doing.

`disk` makes its disk, `guest` runs it, `qmp` is the hand that plugs, `reader` holds the card.
Its clock counts instructions while it works and the host's time while it waits: a deadline in it
means what it means on a box, however slow the host is.
"""
