"""Which personal data and secrets the corpus loses, each replaced by a typed placeholder."""

from __future__ import annotations

from dataclasses import dataclass

from include.recipes.loading import require


@dataclass(frozen=True)
class ScrubRecipe:
    """Kinds to replace: ``<EMAIL>``, ``<IP_ADDRESS>``, ``<PHONE>``, ``<SECRET>``.

    The placeholders follow BigCode's ``<EMAIL>`` and ``<KEY>`` (pii/ner/pii_redaction/utils.py of
    bigcode-project/bigcode-dataset). Off by default: it changes the text of a corpus.
    """

    enabled: bool = False
    emails: bool = True
    ip_addresses: bool = True
    phone_numbers: bool = True
    secrets: bool = True

    def __post_init__(self) -> None:
        kinds = (self.emails, self.ip_addresses, self.phone_numbers, self.secrets)
        require(
            not self.enabled or any(kinds),
            "scrub.enabled",
            "at least one of emails, ip_addresses, phone_numbers and secrets when true",
            self.enabled,
        )
