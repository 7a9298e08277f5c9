"""What a box may sign, as JWS (RFC 7515): three statements of a session, and one of a TLS key."""
