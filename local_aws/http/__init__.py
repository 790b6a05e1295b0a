"""HTTP/1.1 on the loopback address: reading requests, writing responses, refusing foreign web pages."""
