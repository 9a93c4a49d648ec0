"""The report of a run, made anew from what lies in its output folder."""

from pathlib import Path

from models.contract.manifest import FILES, BundleError, read_manifest
from models.contract.store import BundleStore
from training import stage_files
from training.config import RunConfig
from training.errors import UserError
from training.report import render


def anew(config: RunConfig) -> Path:
    """Beside the bundles, which never change; of the one that was exported last."""
    exported = config.output / "export" / stage_files.EXPORTED
    try:
        digest = stage_files.read_json(exported)["digest"]
        bundle = BundleStore(config.output).root / digest
        created_at = read_manifest(bundle)[0].created_at
    except (FileNotFoundError, BundleError) as error:
        raise UserError(
            f"{config.output} holds no bundle of its last run: `bbqrec-train run` makes one"
        ) from error
    path = config.output / FILES.REPORT
    render.write(config, bundle, created_at, path)
    return path
