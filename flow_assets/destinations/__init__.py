"""Where do files go? A local folder, S3, sFTP, FTP."""
