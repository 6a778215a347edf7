# The paper's own runs: one target a data set, and one for each of its other recipes.
for _source in [s for s in SOURCES if s.startswith("paper_")]:

    rule:
        name:
            _source
        input:
            outputs_of(_source),
