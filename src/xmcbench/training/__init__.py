"""The training engine: step loop, losses, optimisers, auxiliary objective, checkpoints, lock, signals, meters."""
