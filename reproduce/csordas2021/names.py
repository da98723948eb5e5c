"""Names and numbers that the stages and the findings have in common."""

FULL = "full"  # the arithmetic mask of all tasks: the control
CONTROL = "control"  # the CNN's mask of all classes
OLD_LOGIT = 2.0  # where the mask logits of used weights start
