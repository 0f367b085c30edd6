"""Tasks: what a model line learns and answers. The rooms are engines that run any of them, by `tasks.base` alone."""
