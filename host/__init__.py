"""Everything recflow needs on one host: Triton, gateway and Airflow, started in the right order and ended without a trace."""
