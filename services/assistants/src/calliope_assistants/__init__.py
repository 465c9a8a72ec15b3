"""Calliope assistants: owns documents (keys, assistants, numbers) and builds call records from events."""
