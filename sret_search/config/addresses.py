"""Addresses of databases and stores, shown without the secrets in them.

Text that may be a secret counts as a secret: a message may show too little, never too much.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote, unquote_plus

HIDDEN = "***"
_TO_SHOW = {
    "application_name", "channel_binding", "client_encoding", "connect_timeout", "dbname",
    "gssencmode", "host", "hostaddr", "keepalives", "keepalives_count", "keepalives_idle",
    "keepalives_interval", "options", "port", "require_auth", "sslcert", "sslkey", "sslmode",
    "sslrootcert", "target_session_attrs", "tcp_user_timeout", "user",
    "allow_bucket_creation", "allow_bucket_deletion", "allow_delayed_open", "background_writes",
    "blob_storage_authority", "check_directory_existence_before_creation", "client_id",
    "credential_kind", "dfs_storage_authority", "enable_tls", "endpoint_override",
    "force_virtual_addressing", "project_id", "region", "retry_limit_seconds", "scheme",
    "smart_defaults", "tenant_id", "tls_ca_dir_path", "tls_ca_file_path",
    "tls_verify_certificates",
}  # fmt: skip
"""Parameters of libpq and of Arrow's stores that are not secret."""
_SHORT = 2
"""Letters of a value. A value that is not longer is no secret, under any name."""

_BEGINS = r"(?:[A-Za-z][A-Za-z0-9+.-]*:/+|/{2,})"
_BEGIN = re.compile(_BEGINS)
_ANOTHER = re.compile(rf"""(?<=[\s'"])(?={_BEGINS})""")
_END = re.compile(r"""[\s'"`]""")
_PORT = re.compile(r"\d*(?![A-Za-z0-9])")
_GIVEN = re.compile(
    r"""((?:pass(?:word|wd|phrase)|secret|[_-]token|credential|(?:access|account|secret)_?key|\bsig)"""
    r"""["']?\s*[=:]\s*)("[^"\n]+"?|'[^'\n]+'?|[^\s&,;'"{}]+)""",
    re.IGNORECASE,
)
"""A secret in a text, after its name, such as password=…"""


def masked(text: str) -> str:
    """The text with *** in place of secrets: those in addresses, and those after a name such as
    password.

    The end of an address in a text is not clear. Its last @ is assumed to be the last in the line.
    """
    return "\n".join("".join(map(_piece, _ANOTHER.split(line))) for line in text.split("\n"))


def masked_value(value: Any) -> Any:
    """Plain data with *** in place of secrets. A text in it may be an address as a whole."""
    if isinstance(value, str):
        if _BEGIN.match(value) is None and "@" in value and ":" in value.partition("@")[0]:
            return _address(value)
        begin = _BEGIN.search(value)
        if begin is None or "\n" in value:
            return masked(value)
        return _without_given(value[: begin.end()]) + _address(value[begin.end() :])
    if isinstance(value, Mapping):
        return {masked_value(key): masked_value(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [masked_value(each) for each in value]
    return value


def is_shown(parameter: str) -> bool:
    """Whether the value of this parameter of an address may be shown."""
    return parameter.lower() in _TO_SHOW


def without(secret: str, text: str) -> str:
    """The text with *** in place of a secret, also as an address, JSON or Python spells it."""
    decoded = {secret, unquote(secret), unquote_plus(secret)}
    forms = decoded | {f(each) for each in decoded for f in (quote, quote_plus, _fully, _escaped)}
    forms |= {repr(each)[1:-1] for each in decoded}
    for form in sorted(forms, key=len, reverse=True):
        if len(form) > _SHORT:
            text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", HIDDEN, text)
    return text


def _fully(text: str) -> str:
    return quote(text, safe="")


def _escaped(text: str) -> str:
    return json.dumps(text)[1:-1]


def _piece(text: str) -> str:
    """Mask the secrets in a text in which at most one address begins."""
    begin = _BEGIN.search(text)
    if begin is None:
        return _without_given("".join(map(_word, re.split(r"(\s+)", text))))
    before = "".join(map(_word, re.split(r"(\s+)", text[: begin.start()])))
    rest = text[begin.end() :]
    end = _END.search(rest, rest.rfind("@") + 1)
    address, after = (rest[: end.start()], rest[end.start() :]) if end else (rest, "")
    shown = _address(address)
    if _is_open(address, shown):
        # The last parameter is a secret, and secrets may contain blanks.
        quoted = re.search(r"""['"]""", after)
        after = after[quoted.start() :] if quoted else ""
    return _without_given(before) + begin[0] + shown + _without_given(after)


def _word(text: str) -> str:
    """Mask the password of a word that may be an address without a scheme."""
    user, colon, rest = text.rpartition("@")[0].partition(":")
    return f"{user}:{HIDDEN}@{text.rpartition('@')[2]}" if colon and rest else text


def _is_open(address: str, shown: str) -> bool:
    return "?" in shown and shown != address and shown.endswith(f"={HIDDEN}")


def _address(rest: str) -> str:
    """Mask an address after its scheme: USER:***@HOST/PATH?PARAMETER=***."""
    at, query = rest.rfind("@"), rest.find("?")
    if -1 < query < at:
        return HIDDEN  # a ? in a password, or an @ in a parameter: the parts are not certain
    user, host = ("", rest) if at < 0 else (rest[:at], rest[at:])
    name, colon, _ = user.partition(":")
    user = f"{name}:{HIDDEN}" if colon else user
    host, mark, parameters = host.partition("?")
    if at < 0:
        host = _without_port(host)
    fragment = "#" if "#" in host else ""
    host = host.partition("#")[0] + (fragment and f"#{HIDDEN}")
    return user + _without_given(host) + mark + "&".join(map(_parameter, parameters.split("&")))


def _without_port(host: str) -> str:
    """Mask the text after a host, unless it is a port: it is the start of a cut password."""
    start = host.find("]") + 1 if host.startswith("[") else 0
    colon = host.find(":", start)
    if colon < 0 or "/" in host[:colon] or _PORT.match(host, colon + 1):
        return host
    return host[: colon + 1] + HIDDEN + ("..." if host.endswith("...") else "")


def _parameter(text: str) -> str:
    name, equals, value = text.partition("=")
    is_hidden = value.rstrip(",.:;)]}") == HIDDEN
    if is_shown(unquote(name)) or len(value or name) <= _SHORT or is_hidden:
        return text
    return f"{name}={HIDDEN}" if equals and value else HIDDEN


def _without_given(text: str) -> str:
    return _GIVEN.sub(lambda given: given[1] + HIDDEN, text)
