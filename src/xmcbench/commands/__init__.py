"""The commands of the command line, by step: each module registers its own."""
