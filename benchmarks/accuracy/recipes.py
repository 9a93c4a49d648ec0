"""What a job is: its configuration, and a hash of it by which a kept result is known."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from benchmarks.accuracy import models
from benchmarks.accuracy.models import Settings
from benchmarks.accuracy.store import Job
from training.config import FitConfig, RunConfig

UNASKED = ("output", "interactions", "items", "loggers", "export")  # see ``read_otherwise``
# How the files were read of which the first results were kept, by the configuration's name.
_READ = {
    "amazon-beauty": "d3448cbfd0c6be7e",
    "amazon-sports": "d3448cbfd0c6be7e",
    "amazon-toys": "d3448cbfd0c6be7e",
    "movielens-100k-temporal": "63d645c9e87dc2e0",
    "movielens-1m": "e12684e94b69748d",
    "online-retail": "556515d9b1d89dc6",
}
# Settings that came when there were results: at these values nothing is otherwise than before.
_LATER = {"behaviour_weight": 1.0, "borrowing": [0.0], "mask_seen": False}
# Settings that have moved to [research], and where they stood when the first results were hashed.
_MOVED = {
    "block": "fit",
    "edges": "fit",
    "shared_codebook": "quantize",
    "id_residual": "quantize",
    "diversity": "quantize",
}


def configured(job: Job, config: RunConfig, settings: Settings) -> RunConfig:
    """The configuration of one job: one thread, so that jobs run beside each other."""
    own = {"seed": job.seed, "threads": 1, "loggers": ["csv"]}
    return models.configured(
        config, settings, models.LEARNED[models.PEERS.get(job.model, job.model)], own
    )


def recipe(job: Job, config: RunConfig, settings: Settings) -> str:
    """Hash of all that a job's outcome depends on, but for the code and where it ran."""
    config = models.configured(config, {"fit.accelerator": "cpu"})
    unasked = set(UNASKED)
    if job.model in models.COUNTED:
        unasked |= {"fit", "quantize"}
    else:
        config = configured(job, config, settings)
    asked = {name: value for name, value in as_hashed(config).items() if name not in unasked}
    asked["fit"] = {k: v for k, v in asked.get("fit", {}).items() if _LATER.get(k) != v}
    asked |= job._asdict() | read_otherwise(config)
    if revision := models.revision(job.model):
        asked["revision"] = revision
    return digest(asked)


def read_otherwise(config: RunConfig) -> dict[str, Any]:
    """How a data set is read, which columns and which rows, unless that is as it ever was.

    Where its files lie is nobody's business, and settings at their defaults change nothing.
    """
    sections = {"interactions": config.interactions, "items": config.items}
    read = {
        name: section.model_dump(mode="json", exclude={"path"}, exclude_defaults=True)
        for name, section in sections.items()
        if section is not None
    }
    return {} if _READ.get(config.name) == digest(read) else {"read": read}


def digest(content: Mapping[str, Any]) -> str:
    """What a kept result is known by."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def laid_out(config: RunConfig) -> dict[str, Any]:
    """A configuration without what changes nothing at its value."""
    content = config.model_dump(mode="json")
    fit = content["fit"]
    if not any(fit["memory"]):
        del fit["memory"], fit["memory_items"]
    if not content["events"]:
        del content["events"]
    if not content["filter"]["listed"]:
        del content["filter"]["listed"]
    for name in ("type", "stored"):
        if content["interactions"][name] is None:
            del content["interactions"][name]
    if content["split"]["test_from"] is None:
        del content["split"]["test_from"]
    if content["research"]["likeness"]:
        del content["research"]["likeness"]
    del fit["learn_test"]  # of what goes live alone
    if not fit["compile"]:
        del fit["compile"]
    del content["quantize"]["accelerator"]  # where it ran
    if fit["rows_from"] == FitConfig.model_fields["rows_from"].default:  # more items than any has
        del fit["rows_from"]
    return content


def as_hashed(config: RunConfig) -> dict[str, Any]:
    """A configuration laid out as when the first results were kept: hashes outlive a tidying up."""
    content = laid_out(config)
    content["evaluate"]["filter_seen"] = content.pop("recommend") == "new"
    del content["evaluate"]["cold_share"], content["fit"]["new_items_cost"]  # no item is new here
    research = content.pop("research")
    for name, section in _MOVED.items():
        content[section][name] = research[name]
    content["fit"]["reweighting"] = research["reweighting"] if config.fit.reweighting else "off"
    return content
