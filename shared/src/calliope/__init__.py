"""What more than one Calliope service needs: contracts, bus, settings, errors, secrets, telemetry."""
