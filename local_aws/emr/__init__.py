"""EMR clusters whose steps really run spark-submit."""
