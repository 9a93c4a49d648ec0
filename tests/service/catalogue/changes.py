"""Changes to write in tests."""

import numpy as np
from hypothesis import strategies as st

from models.contract.intake import Content
from service.catalogue.change import Change


def put(item_id: str = "new", version: int | None = None, title: str = "A title") -> Change:
    vector_E = np.arange(3, dtype=np.float32)
    content = Content(title, {"name": "x"}, {"price": 2.5}, {"scent": vector_E}, b"\x00picture\n")
    return Change("put", item_id, 1.5, version, content)


def patch(item_id: str = "new", version: int | None = None, **attributes: float | None) -> Change:
    return Change("patch", item_id, 2.5, version, attributes=attributes or {"price": 3})


def delete(item_id: str = "new", version: int | None = None) -> Change:
    return Change("delete", item_id, 3.5, version)


IDS = st.sampled_from(["a", "b", "c"])
VERSIONS = st.none() | st.integers(1, 6)
CHANGES = st.one_of(
    st.builds(put, IDS, VERSIONS, st.sampled_from(["one", "two"])),
    st.builds(lambda i, v, p: patch(i, v, price=p), IDS, VERSIONS, st.none() | st.just(1.0)),
    st.builds(delete, IDS, VERSIONS),
)
