"""The pages of containers and nodes, one file a page. A view is: scope, act, answer."""
