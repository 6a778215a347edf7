"""Evaluation reads stored top-k predictions and the truth, nothing else: a method never grades itself."""
