"""What the papers claim, as statements over the rows of experiments, and what the rows say of each."""
