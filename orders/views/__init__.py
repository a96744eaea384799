"""The pages of plans and orders, one file a page. A view is: scope, act, answer."""
