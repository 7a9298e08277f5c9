"""Networks of the rig: namespaces, cables, processes in them, observers.

    sdbx….1-sess           sdbx….1-box                         sdbx….1-centre         sdbx….1-vm1
    +----------------+     +-----------------------------+     +------------------+   +------------+
    | lo             |     | uplink 192.0.2.2/24         |     | 192.0.2.1/24     |   | lo         |
    | sdbox0, while  | <.. |        2001:db8:2::2/64     |<===>| 2001:db8:2::1/64 |   | the peer's |
    | a tunnel is up | tun | walls: default drop         | veth| box              |..>| interface  |
    |                |     | tunnel helper, wireguard-go |     | API, gateway     |   | VM answers |
    +----------------+     +-----------------------------+     +------------------+   +------------+
      desktop client,        core, card, finger                   observer sits here
      no uplink at all

The dotted lines are interfaces moved from the namespace of their wireguard-go to where they serve.
An oracle names every frame that comes out of the box's cable. Where the topology is `hostile`, that
cable ends at a host, which passes frames on to the centre's if and when it likes.
The dots in a name stand for the rig's pid; a killed rig is swept up by the next one's start.
"""
