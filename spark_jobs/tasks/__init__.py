"""What one Spark task does with its files."""
