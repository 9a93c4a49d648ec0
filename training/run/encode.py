"""Stage encode: the catalogue's content to vectors."""

from pathlib import Path

from training.config import RunConfig
from training.data.dataset import PreparedDataset
from training.data.item_files import ItemFiles
from training.encoders.encode import encode_items


def run(config: RunConfig, directory: Path) -> str:
    """Write the vectors; a line that counts them."""
    data = PreparedDataset.load(config.output / "prepare")
    cache = config.encode.cache or config.output.parent / "cache"
    items = data.contents()
    if config.items:
        items = ItemFiles(config.items).located(items)
    embeddings = encode_items(items, config.encode, directory, cache)
    counts = [f"{m} {int(e.present_N.sum()):,}" for m, e in embeddings.items()]
    return f"vectors of {data.card.items:,} items: {', '.join(counts) or 'no content'}"
