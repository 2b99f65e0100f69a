"""Turns validation errors into one sentence that names fields, without repeating the values.

Used for bindings and backends that do not hold to their schema.
"""

from pydantic import ValidationError

_MOST = 3


def complaints(error: ValidationError) -> str:
    """Return the first complaints as ``spec.secrets.0.key: string should match …``."""
    found = [
        f"{'.'.join(str(part) for part in each['loc'])}: {each['msg'].removeprefix('Value error, ')}"
        for each in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    more = f" (and {len(found) - _MOST} more)" if len(found) > _MOST else ""
    return "; ".join(found[:_MOST]) + more
