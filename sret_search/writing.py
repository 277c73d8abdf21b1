"""Plain data as the text of a YAML file."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML

_WIDTH = 100


def yaml_text(plain: Mapping[str, Any], *, inline: bool = False) -> str:
    """A mapping as YAML, with its keys in their given order.

    Args:
        inline: write lists and mappings without inner ones on a single line.
    """
    yaml, text = YAML(typ="safe"), io.StringIO()
    yaml.default_flow_style, yaml.width = None if inline else False, _WIDTH
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(dict(plain), text)
    return text.getvalue()
