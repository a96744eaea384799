"""How web is served, wherever it runs: two processes, so that one is free while the other is busy,
and threads for those who wait for a node."""

workers = 2
threads = 8
worker_class = "panel.serving.Worker"
# A connection for each request, so that it comes to the process that has time for it.
keepalive = 0
# The system would send a file for a thread that waits until it is read.
sendfile = False
loglevel = "warning"
control_socket_disable = True
