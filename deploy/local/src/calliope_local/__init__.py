"""The whole of Calliope on one machine: processes, ports, keys, and a demonstration call."""
