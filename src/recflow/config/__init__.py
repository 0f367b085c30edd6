"""Settings say where things are; a recipe says what to train and how strict to be."""
