"""Following a command, or the run of an agent: from the claim to the rest. Killed anywhere, another worker takes over."""
