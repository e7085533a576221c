"""How workers are started and looked after; what they do is written in the study that they work on."""
