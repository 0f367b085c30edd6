"""recflow keeps search and recommendation models fresh, judged and safely in production."""
