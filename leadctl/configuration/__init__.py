"""Settings, stored profiles and login sessions."""
