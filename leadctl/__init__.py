"""leadctl: triage a law firm's leads from a terminal or a shell script."""
