"""Claims, checked and found by their ids, for tests of what they say."""

from typing import Any

from reproduce.publishing.claim import Claims


def checked(claims: Claims, subject: str | None = None) -> dict[str, Any]:
    """Returns the claims about a subject, or all, checked: a dict by id."""
    return {
        one["id"]: one
        for one in claims.checked()
        if subject in (None, one["subject"])
    }
