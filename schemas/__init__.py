"""What Penstock talks about: events, verdicts, policies, settings, and their bytes."""
