"""What goes into the image beside the package: its health check, and a demo service."""
