"""What stands between the clients and the workers."""
