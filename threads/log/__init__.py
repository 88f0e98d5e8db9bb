"""What a log looks like: events gathered into cards, rendered once for everybody, read backwards and watched live."""
