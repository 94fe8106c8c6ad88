"""What the web pages and interfaces of every room share."""
