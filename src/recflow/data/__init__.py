"""Events of a day become a validated partition; partitions become a training set."""
