"""`leadctl triage`: one lead per screen, one key per decision."""
