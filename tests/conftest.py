"""What do all tests share? The servers they start (``tests/servers/``), each only when a test asks for it."""

pytest_plugins = ["tests.servers.postgres", "tests.servers.s3", "tests.servers.sftp", "tests.servers.ftp"]
