"""What the simulated robot decides: its services and what it reports."""
