"""The gateway, routing, parsing and error responses shared by both HTTP APIs."""
