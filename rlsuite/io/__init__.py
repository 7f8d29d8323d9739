"""What touches the disk and the terminal: checkpoints, logs, progress, figures, reports."""
