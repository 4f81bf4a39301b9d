"""What callers may know of deliveries, and how they wait for them. The core delivers."""
