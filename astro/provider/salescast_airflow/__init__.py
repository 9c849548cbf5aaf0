"""The Airflow provider of salescast: an operator that runs one step of the binary.

This module is read by Airflow's provider manager in every process, so it imports nothing.
"""

__version__ = "0.0.0+dev"  # the wheel's builder sets it


def get_provider_info() -> dict[str, object]:
    """What Airflow's provider manager reads through the entry point."""
    return {
        "package-name": "salescast",
        "name": "salescast",
        "description": "Forecast sales with the salescast binary, step by step.",
        "versions": [__version__],
        "extra-links": [
            "salescast_airflow.links.MLflowRunLink",
            "salescast_airflow.links.WorkspaceLink",
        ],
    }
