"""Every message and document that crosses a process, as pydantic models; imports nothing else of Calliope."""
