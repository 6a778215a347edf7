"""From a public address to verified files in a folder: sources, download, lock, archive, layout, fetch."""
