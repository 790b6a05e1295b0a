"""Operators submit; triggers wait; gates decide."""
