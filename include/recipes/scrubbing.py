"""Recipe of scrubbing: the personal data and secrets that typed placeholders replace."""

from __future__ import annotations

from dataclasses import dataclass

from include.recipes.loading import require


@dataclass(frozen=True)
class ScrubRecipe:
    """Kinds to replace: ``<EMAIL>``, ``<IP_ADDRESS>``, ``<PHONE>``, ``<SECRET>``.

    The placeholders follow BigCode's ``<EMAIL>`` and ``<KEY>`` (pii/ner/pii_redaction/utils.py of
    bigcode-project/bigcode-dataset). Off by default: it changes the text of a corpus.
    """

    #: Replace personal data and secrets.
    enabled: bool = False
    #: Replace e-mail addresses.
    emails: bool = True
    #: Replace public IP addresses.
    ip_addresses: bool = True
    #: Replace phone numbers.
    phone_numbers: bool = True
    #: Replace keys and tokens.
    secrets: bool = True

    def __post_init__(self) -> None:
        kinds = (self.emails, self.ip_addresses, self.phone_numbers, self.secrets)
        require(
            not self.enabled or any(kinds),
            "scrub.enabled",
            "at least one of emails, ip_addresses, phone_numbers and secrets when true",
            self.enabled,
        )
