"""Data: parse → prepared store → sample → tokens → batches, and label groups."""
