"""Operators. They submit jobs; triggers wait for them, and gates decide."""
