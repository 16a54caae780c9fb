"""What one client may take: connections, requests, bytes and work at once, so that nobody stops the others."""
