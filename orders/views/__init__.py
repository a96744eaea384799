"""The pages of plans and orders, one file for each. A view begins with what the person may see
(`visible_to`), does what is asked, and answers."""
