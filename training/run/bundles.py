"""The bundles of an output folder, for a person: which there are, and which serve."""

from collections.abc import Sequence

from rich.table import Table

from models.contract.bundle import BundleError
from models.contract.store import BundleStore, Role, Stored
from training.errors import UserError
from training.evaluate.report import HEADLINE


def table(bundles: Sequence[Stored]) -> Table:
    """Newest first. Raises UserError where there are none."""
    if not bundles:
        raise UserError("there is no bundle yet: `bbqrec-train run` makes one")
    shown = Table("digest", "made", "items", HEADLINE, "serves as")
    for stored in bundles:
        manifest = stored.manifest
        score = manifest.metrics.get(HEADLINE)
        shown.add_row(
            stored.digest[:12],
            manifest.created_at.replace("T", " ").removesuffix("+00:00"),
            f"{manifest.architecture.catalogue_size:,}",
            "" if score is None else f"{score:.4f}",
            ", ".join(stored.roles),
        )
    return shown


def activate(store: BundleStore, digest: str, role: Role) -> Stored:
    """Have a bundle serve. Raises UserError for a digest that names none, or several."""
    try:
        return store.activate(digest, role)
    except BundleError as error:
        raise UserError(str(error)) from error
