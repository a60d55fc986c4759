"""What both HTTP APIs share: routing, parsing, middleware and error responses."""
