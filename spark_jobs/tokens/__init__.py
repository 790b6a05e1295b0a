"""Tokenizer and Megatron files."""
