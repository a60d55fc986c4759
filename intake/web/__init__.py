"""What the two HTTP doors share."""
