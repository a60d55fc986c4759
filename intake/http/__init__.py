"""Routing, parsing, middleware and error responses shared by both HTTP APIs."""
