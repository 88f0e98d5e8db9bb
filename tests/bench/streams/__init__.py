"""Our stream server beside the upstream Node server, on this machine, in one run: `make bench-streams`."""
