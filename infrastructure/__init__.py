"""Set-up, packaging and what runs in the cloud."""
