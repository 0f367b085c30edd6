import pytest
import sqlalchemy

from host.airflow import API_SERVER, AirflowHost


@pytest.mark.parametrize(("process", "seconds"), [(API_SERVER, 5), ("airflow-scheduler", 60), ("", 60)])
def test_the_api_server_alone_does_not_wait_long_for_the_database_since_it_may_wait_for_itself(
    tmp_path, process, seconds
):
    address = AirflowHost(tmp_path, 8080, {}).variables(process)["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    engine = sqlalchemy.create_engine(address)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == seconds * 1000
    engine.dispose()
