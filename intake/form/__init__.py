"""The firm's form: its definition, the values that it accepts, and its signs of spam."""
