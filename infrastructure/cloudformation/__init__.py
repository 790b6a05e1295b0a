"""Reads, evaluates, orders and checks the templates in infrastructure/stacks/."""
