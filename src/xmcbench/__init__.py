"""Memory-efficient training for extreme multi-label classification, benchmarked."""

__version__ = "0.1.0"
