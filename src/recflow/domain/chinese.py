"""Traditional Chinese as simplified Chinese, by phrase where a character alone is ambiguous (OpenCC's t2s)."""

import re
from collections.abc import Callable
from functools import cache

# Han characters; RE2, Java and Python agree on this range. The rarer planes have no simplified forms in use.
HAN = "[\u3400-\u4dbf\u4e00-\u9fff]"
_HAN = re.compile(HAN)


def simplified(text: str) -> str:
    """The text with simplified characters. Idempotent; texts without Han characters return as they came."""
    if not _HAN.search(text):
        return text
    convert = _converter()
    # A few characters are simplified in two steps.
    while (once := convert(text)) != text:
        text = once
    return text


@cache
def _converter() -> Callable[[str], str]:
    from opencc import OpenCC

    convert: Callable[[str], str] = OpenCC("t2s").convert
    return convert
