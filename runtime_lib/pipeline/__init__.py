"""Pipeline: dvc.yaml is its only definition; running it and the Airflow DAG are derived from it."""
