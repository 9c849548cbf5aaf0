"""The operator beside Airflow's own for shells, in turns: both run `salescast version`."""

from airflow.providers.standard.operators.bash import BashOperator
from salescast_airflow.environment import find_binary
from salescast_airflow.operator import SalescastOperator
from salescast_airflow.sdk import DAG

with DAG(dag_id="overhead", schedule=None) as dag:
    last = None
    for turn in range(8):
        ours = SalescastOperator(task_id=f"ours_{turn}", command="version")
        shell = BashOperator(task_id=f"shell_{turn}", bash_command=f"{find_binary()} version")
        ours >> shell
        if last:
            last >> ours
        last = shell
