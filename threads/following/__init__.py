"""Following a command, or an agent's run, from the claim to the rest. Killed anywhere, another worker takes over."""
