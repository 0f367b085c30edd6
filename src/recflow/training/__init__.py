"""Training: from a data set to a fine-tuned encoder and the weights of its blend."""
