"""Internal API: endpoints for attorneys and administrators."""
