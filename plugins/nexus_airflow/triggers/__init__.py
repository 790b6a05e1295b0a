"""Waiting, as arguments: triggers hold no state and import nothing from dags/."""
