# The door. The workflow itself is workflow/Snakefile; an include alone would leave no default target.
include: "workflow/Snakefile"


workflow.default_target = "all"
