"""Those who wait for changes: long polls by service, and streams of events."""
