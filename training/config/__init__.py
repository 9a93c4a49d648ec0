"""The run configuration: one TOML file, one section per stage, unknown fields refused.

Users set all but ``[research]``. What is invalid is refused when the file is read.
"""

from training.config.content import EncodeConfig, ModalityConfig, WordsConfig
from training.config.data import FilterConfig, InteractionsConfig, ItemsConfig, SplitConfig
from training.config.learning import FitConfig, QuantizeConfig, ResearchConfig
from training.config.results import EvaluateConfig, ExportConfig
from training.config.run import RunConfig
from training.config.toml_file import load

__all__ = [
    "EncodeConfig",
    "EvaluateConfig",
    "ExportConfig",
    "FilterConfig",
    "FitConfig",
    "InteractionsConfig",
    "ItemsConfig",
    "ModalityConfig",
    "QuantizeConfig",
    "ResearchConfig",
    "RunConfig",
    "SplitConfig",
    "WordsConfig",
    "load",
]
