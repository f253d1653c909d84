"""Timed side by side: this engine and its peers, in one run, one process each, asked in turn."""
