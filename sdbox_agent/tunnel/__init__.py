"""WireGuard, addresses, routes and walls of one session."""
