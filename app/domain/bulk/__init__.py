"""Work on many rows at once, in the background: changing them, and writing them into a file."""
