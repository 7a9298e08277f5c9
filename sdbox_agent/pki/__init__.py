"""Certificates, revocation, and the sealed reference."""
