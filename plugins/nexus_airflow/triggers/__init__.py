"""Triggers. They have no state but their arguments, and import nothing from dags/."""
