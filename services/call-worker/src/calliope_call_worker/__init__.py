"""Calliope call-worker: owns live calls, from the carrier's first hook to the last fact after the call."""
