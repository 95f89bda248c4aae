"""Who is told of trouble? Messages to the channels of ``alerts.yaml``, by webhook and mail.

What is told when is decided in ``plan/alerts.py``, how it reads in ``plan/messages.py``.
"""
