"""Set-up, packaging, images and the scripts that run in the cloud."""
