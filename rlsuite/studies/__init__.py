"""The papers' experiments: functions that return tables and figures as one report."""
