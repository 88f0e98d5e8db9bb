"""Where streams are, below the address of a server."""

PREFIX = "/v1/stream/"
