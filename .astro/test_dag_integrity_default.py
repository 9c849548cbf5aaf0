"""What `astro dev parse` runs in the image: every DAG file imports, and every DAG of it has tasks."""

try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:  # before Airflow 3.2
    from airflow.models import DagBag


def test_dag_files_import():
    bag = DagBag()
    assert not bag.import_errors, "\n".join(f"{path}: {error}" for path, error in bag.import_errors.items())
    assert bag.dags and all(dag.tasks for dag in bag.dags.values())
