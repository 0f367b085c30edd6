"""Everything recflow needs on one host: Triton, gateway and Airflow, started in order and ended without a trace."""
