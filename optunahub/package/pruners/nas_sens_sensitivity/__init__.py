from nas_sens.optuna import SensitivityPruner, score

__all__ = ["SensitivityPruner", "score"]
