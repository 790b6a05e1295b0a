"""EMR: clusters whose steps run spark-submit on this machine."""
