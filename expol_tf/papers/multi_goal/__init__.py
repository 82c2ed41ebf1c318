"""Where runs go on the tasks with several goals, beside the optimum."""
