"""What `celery -A dagster_celery.app worker` is told: it imports this module if it lies on the Python path."""

import os

broker_url = os.environ["FLOW_BROKER"]
result_backend = os.environ["FLOW_BROKER"]
result_expires = 86_400  # seconds
worker_prefetch_multiplier = 1
worker_disable_prefetch = True  # a run that waits goes to whoever is free, not to whoever is busy
worker_max_tasks_per_child = 50  # gives memory back
broker_connection_retry_on_startup = True
