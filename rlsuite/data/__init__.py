"""What agents and experts leave behind: trajectories, and the experts that write them."""
