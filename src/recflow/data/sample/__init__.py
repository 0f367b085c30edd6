"""A generated shop for a machine without data: believable goods, known truth, documented behaviour, planted faults."""
