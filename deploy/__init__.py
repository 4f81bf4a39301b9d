"""What runs Kith somewhere: image, compose file, systemd unit, and the scripted demo."""
