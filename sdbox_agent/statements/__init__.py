"""The three statements a box may sign, as JWS (RFC 7515)."""
