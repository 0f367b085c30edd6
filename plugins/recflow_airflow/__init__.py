"""The Airflow face of recflow: Airflow words in, recflow words out, and nothing decided here."""
