"""Ids at the end of paths: all that is left of the path, whatever that holds.

Starlette's own ``path`` ends before a line's end: who asked for ``a`` and a line's end, which is an
id as any other, got ``a``.
"""

from starlette.convertors import Convertor, register_url_convertor


class _Whole(Convertor[str]):
    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("whole", _Whole())
ITEM, USER = "{item_id:whole}", "{user_id:whole}"
